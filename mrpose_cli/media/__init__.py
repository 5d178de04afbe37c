"""Photos in and out: finding them, reading them ahead, writing pictures in the background.

Each kind of input has its module: photos are read and written by `images`; a clip reader belongs beside it
as `video`, handing out frames of the same shape.
"""
