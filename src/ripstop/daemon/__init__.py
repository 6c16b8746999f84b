"""Where everything meets: configuration, driver, shell."""
