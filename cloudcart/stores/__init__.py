"""The stores: PostgreSQL (sessions, outbox, inbox, schema), Redis and Kafka, as the services use them.

Not here: starting them (``lab``) and what any one service keeps in them (``services``).
"""
