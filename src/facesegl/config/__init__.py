"""From a command line to objects: compose `conf/` with Hydra, check the config, build what it names; a run's identity.

Classes are built by name: nothing that a config can name is imported here, and nothing here knows about images, runs or
training.
"""
