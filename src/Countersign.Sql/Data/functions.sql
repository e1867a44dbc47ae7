-- Makes functions.txt: the functions of pg_catalog, each with its class. Run it with `psql -XAt -F ' '` on each supported server; a name
-- takes the stricter class of two. A function that is in no server's pg_catalog, or in none that this was run on, is not known harmless.
--   h harmless: stable or immutable, or listed here    a aggregate that answers one value    c aggregate that collects its input
--   l takes a lock    n notifies    g set_config    o runs SQL that it is given    w a known write: sequences, large objects, waiting
--   f files of the server's host    s the server: settings, WAL, replication, other sessions
--   x anything else: volatile, or an effect outside the row that it returns
select proname,
  case
    when bool_or(proname = 'set_config') then 'g'
    when bool_or(proname = 'pg_notify') then 'n'
    -- letting go of a lock of one's own lets others in, and is part of how drivers reset a session
    when bool_or(proname ~ '^pg_advisory_unlock') then 'h'
    when bool_or(proname ~ '^pg_(try_)?advisory_') then 'l'
    -- these run SQL text, a cursor, or read whole tables by name (several are declared stable)
    when bool_or(proname ~ '^(query|cursor|table|schema|database)_to_xml' or proname in ('ts_stat', 'ts_rewrite')) then 'o'
    when bool_or(proname in ('lo_import', 'lo_export')
      or proname ~ '^pg_(read_|ls_|stat_file$|file_|hba_file|ident_file|show_all_file|current_logfile)') then 'f'
    when bool_or(proname ~ '^pg_(stat_reset|terminate_|cancel_|reload_conf|rotate_|switch_|create_|drop_|copy_|promote|wal_replay_|backup_|start_|stop_|replication_|logical_|sync_|log_|import_|export_|clear_|restore_|nextoid)'
      -- what other sessions run, and connection strings of standbys
      or proname in ('pg_stat_get_activity', 'pg_stat_get_backend_activity', 'pg_stat_get_wal_senders', 'pg_stat_get_wal_receiver')) then 's'
    when bool_or(proname in ('nextval', 'setval', 'pg_sleep', 'pg_sleep_for', 'pg_sleep_until', 'loread', 'lowrite') or proname ~ '^lo_') then 'w'
    when bool_or(proname ~ '^binary_upgrade_' or proname ~ '_validator$' or proname ~ '_handler$'
      -- these call the input function of any type that text names, a domain's checks included
      or proname in ('pg_input_is_valid', 'pg_input_error_info')
      or proname ~ '^(domain|array|record|range|multirange)_(in|recv)$') then 'x'
    when bool_or(prokind = 'a' and proname in ('array_agg', 'string_agg', 'xmlagg', 'range_agg') or prokind = 'a' and proname ~ '^jsonb?_') then 'c'
    when bool_or(provolatile = 'v' and prokind <> 'a' and not (
      proname in ('clock_timestamp', 'timeofday', 'random', 'random_normal', 'setseed', 'gen_random_uuid', 'uuidv4', 'uuidv7', 'array_sample', 'array_shuffle',
        'currval', 'lastval', 'pg_sequence_last_value', 'txid_status', 'pg_xact_status', 'pg_xact_commit_timestamp', 'pg_last_xact_replay_timestamp',
        'pg_relation_size', 'pg_table_size', 'pg_indexes_size', 'pg_total_relation_size', 'pg_database_size', 'pg_tablespace_size',
        'pg_blocking_pids', 'pg_safe_snapshot_blocking_pids', 'pg_lock_status', 'pg_notification_queue_usage', 'pg_prepared_xact',
        'pg_partition_tree', 'pg_partition_ancestors', 'pg_is_in_recovery', 'pg_is_wal_replay_paused', 'pg_jit_available',
        'pg_collation_actual_version', 'pg_database_collation_actual_version', 'pg_stat_clear_snapshot', 'pg_stat_have_stats',
        'bernoulli', 'system')
      or proname ~ '^pg_(current|last)_wal_' or proname ~ '^pg_stat_get_xact_')) then 'x'
    when bool_or(prokind = 'a') then 'a'
    else 'h'
  end
from pg_proc where pronamespace = 'pg_catalog'::regnamespace
group by proname order by proname collate "C"
