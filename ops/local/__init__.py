"""The stack on one machine: broker, store, carrier, roles and sites under one supervisor."""
