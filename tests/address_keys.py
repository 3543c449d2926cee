"""What addresses that are not written to are hashed with in tests."""

ADDRESS_KEYS = ("a key of tests",)
