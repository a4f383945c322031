"""Back ends of symc: code generators and run-time libraries. Installed under the name ``symc_backends``."""
