//! Typed Hyper-V control plane over WS-Management, and the way to a virtual machine's disk files.
