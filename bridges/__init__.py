"""What brings outside data into Kafka; it knows nothing of what is made of it there.

`python -m bridges` copies Pulse's messages: it makes `record.Record`s and hands them to
`writer.Writer`. Another way in is a package beside these modules, such as `bridges.pushlog`.
"""
