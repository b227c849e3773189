"""What each command does: read, compute, write; modules are imported where they are needed."""
