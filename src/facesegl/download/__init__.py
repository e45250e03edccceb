"""FASSEG's public archive: fetched, checked file by file, and put in its place whole.

What is promised:

- Each image is held against the hash that git has for it, before it gets its name. Whether the archive comes from
  GitHub, a mirror or a person's own disk makes no difference.
- What is there and right is neither fetched nor touched, and when all is right no connection is opened. Files that are
  there with other content are named, and replaced only if that is asked for. Files that are not FASSEG's stay.
- Nothing appears in the folder before all of it has been checked.
- Whoever stops it loses nothing that can be kept: the same command goes on.

The archives that GitHub makes have no promised bytes, so there is no hash of the whole to ask for, and pooch, which
would fetch by that hash, cannot go on where a broken transfer ended. What is left is HTTP, which urllib speaks: no
cookies, no passwords from a file; proxies from the environment (`https_proxy`, `no_proxy`) as urllib honours them.
"""
