"""The command line: asks the daemon through the client and prints; decides nothing."""
