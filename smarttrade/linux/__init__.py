"""Linux and systemd: file descriptors, service notifications."""
