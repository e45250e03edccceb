"""Find, compose, check and build what `conf/` names: from a command line to objects.

Building goes by name, so that nothing of the project is imported here but its errors and `nearest`. A config that a
person types or keeps is that person's own code and may build anything; what travels in a checkpoint goes through
`build_trusted`.
"""
