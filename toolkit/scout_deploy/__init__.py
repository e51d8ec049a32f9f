"""The toolkit: profiles, plans, runtimes and the command line that turn a profile into a running deployment."""
