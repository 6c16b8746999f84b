"""How long a container waits for its interface, compared with the plugins that most runtimes come with."""
