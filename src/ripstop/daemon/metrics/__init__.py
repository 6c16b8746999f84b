"""What Prometheus is told: `collector` looks at everything, `families` says it in numbers with names."""
