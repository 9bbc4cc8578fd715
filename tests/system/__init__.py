"""Tests of whole programs on a real Kafka and a real RabbitMQ."""
