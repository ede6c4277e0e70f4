//! WS-Management and CIM for Windows hosts: codec, client and the server half that a simulated host uses.
