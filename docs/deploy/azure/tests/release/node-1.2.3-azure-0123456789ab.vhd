A stand-in for an image: these tests upload nothing.
