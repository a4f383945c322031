"""Back ends of symc: code generators and run-times. Installed under the name ``symc_backends``."""
