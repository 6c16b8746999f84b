"""Names: how fast they are answered, how soon a change is, and what very many of them weigh."""
