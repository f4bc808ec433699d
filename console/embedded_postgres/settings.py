"""What an embedded server is told: its settings, and the first statements in new data."""

PORT = 5432  # Only a part of the socket's name: the server does not listen on the network.

# Written to postgresql.conf when the data are made; from then on the owner may tune them.
SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "off",
    "random_page_cost": "1.1",
    # A container's /dev/shm is too small for the workers that build a vector index together.
    "min_dynamic_shared_memory": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The log tells that a statement failed, not what it carried.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
THROWAWAY_SETTINGS = SETTINGS | {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
# Given at every start: they keep strangers out and the logs small, and are nobody's to tune.
FIXED_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_directories": ".",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",  # One for each day of the week, written over a week later.
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
}
# The application is no superuser here, as it is none on a hosted database. Only a superuser may add
# `vector`, so it goes into the template from which all databases are made, those of tests too.
FIRST_STATEMENTS = {
    "template1": "CREATE EXTENSION vector;\n",
    "postgres": "CREATE ROLE console LOGIN CREATEDB;\nCREATE DATABASE console OWNER console;\n",
}
