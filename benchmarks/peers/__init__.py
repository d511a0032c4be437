"""The same ONNX model behind other servers, each in an environment of its own.

Every file here is what a person would write for that server: named fields in, a score out, ONNX
Runtime with one thread. They run as programs of their own and import nothing of the workbench.
"""
