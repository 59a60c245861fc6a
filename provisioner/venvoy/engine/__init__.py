"""The conda engine: a program of its own, so that whatever py-rattler does at its end happens to nobody else.

It is given one request on its standard input (`request.Request`, as JSON), answers on its standard output, and tells
on its standard error, a line of JSON each, how far it is.
"""
