"""What brings outside data into Kafka; it knows nothing of what is made of it there.

`python -m bridges` copies Pulse's messages. Another way in is a package beside the modules here
(polling a repository's push log would be `bridges.pushlog`): it makes `record.Record`s and
hands them to `writer.Writer`.
"""
