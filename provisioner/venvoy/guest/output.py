"""Take in what forked processes print over a socket of the session; ipykernel opens a port for that."""

import os


def keep_off_ports(folder):
    """Change how the kernel that starts next does it. An ipykernel that is made otherwise is left as it is."""
    import zmq
    from ipykernel import iostream, kernelapp
    from zmq.eventloop.zmqstream import ZMQStream

    stock = iostream.IOPubThread
    if not all(hasattr(stock, part) for part in ("_setup_pipe_in", "_setup_pipe_out", "_handle_pipe_msg")):
        return
    address = "ipc://%s" % os.path.join(folder, "forked")

    class Output(stock):
        def _setup_pipe_in(self):
            self._pipe_uuid = os.urandom(16)
            heard = self.socket.context.socket(zmq.PULL)
            heard.linger = 0
            heard.bind(address)
            self._pipe_in = ZMQStream(heard, self.io_loop)
            self._pipe_in.on_recv(self._handle_pipe_msg)

        def _setup_pipe_out(self):
            # A process that was forked cannot use the context of the one before.
            context = zmq.Context()
            says = context.socket(zmq.PUSH)
            says.linger = 3000
            says.connect(address)
            return context, says

    kernelapp.IOPubThread = Output
