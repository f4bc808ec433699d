"""Times name their zone: it is the reader's, and who wrote to support may be in another."""

DATE_FORMAT = "j M Y"
DATETIME_FORMAT = "j M Y, H:i T"
