"""How results are shown: as data (the documented JSON), as text, and as HTML that a saved notebook keeps readable."""
