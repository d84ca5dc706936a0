"""Grid Engine, of whatever descent."""
