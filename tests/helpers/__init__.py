"""What several tests share; fixtures are in conftest.py files."""
