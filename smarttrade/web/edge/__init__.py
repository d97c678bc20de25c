"""From a client's bytes to the application, and back: what one connection may do, and costs."""
