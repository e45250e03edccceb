"""From a command line to objects: compose `conf/` with Hydra, check and instantiate it; the identity of a run.

Classes are built by name: nothing that a config can name is imported here, and nothing here knows about images, runs or
training.
"""
