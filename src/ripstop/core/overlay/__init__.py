"""From topology to what the kernel's tables must hold."""
