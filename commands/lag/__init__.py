"""`pulseload lag`: what is unread in Kafka, and how long Pulse's queue is."""
