"""Models held against each other on the same photos: what is compared, how far a difference may be luck, the table."""
