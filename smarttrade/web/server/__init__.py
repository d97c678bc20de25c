"""Where connections come from: sockets to listen on, the accept loop, the ordered stop."""
