"""The functions that were reviewed, with the reasons.

Reviewed were all functions of PostgreSQL 15 and 18 that their catalogues call volatile, and those called
stable or immutable that do more than their arguments say. A built-in volatile function that is in neither
list, of another version for instance, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_READING: Final[Mapping[str, str]] = {
    "chance and time; the seed of the session is the only state": (
        "array_sample array_shuffle bernoulli clock_timestamp gen_random_uuid random random_normal "
        "system timeofday uuidv4 uuidv7"
    ),
    "waiting, within the statement timeout": "pg_sleep pg_sleep_for pg_sleep_until",
    "sizes of relations and databases": (
        "pg_database_size pg_indexes_size pg_relation_size pg_table_size pg_tablespace_size "
        "pg_total_relation_size"
    ),
    "the control file": "pg_control_checkpoint pg_control_init pg_control_recovery pg_control_system",
    "the state of write-ahead log, recovery and replication": (
        "pg_available_wal_summaries pg_current_wal_flush_lsn pg_current_wal_insert_lsn "
        "pg_current_wal_lsn pg_get_wal_replay_pause_state pg_get_wal_resource_managers "
        "pg_get_wal_summarizer_state pg_is_in_recovery pg_is_wal_replay_paused pg_last_committed_xact "
        "pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp "
        "pg_show_replication_origin_status pg_stat_get_recovery_prefetch"
    ),
    "the state of locks, transactions and sequences": (
        "pg_blocking_pids pg_get_multixact_members pg_get_sequence_data pg_lock_status "
        "pg_notification_queue_usage pg_prepared_xact pg_safe_snapshot_blocking_pids "
        "pg_sequence_last_value pg_xact_commit_timestamp pg_xact_commit_timestamp_origin "
        "pg_xact_status txid_status"
    ),
    "the server's own configuration and memory": (
        "pg_collation_actual_version pg_current_logfile pg_database_collation_actual_version "
        "pg_get_aios pg_get_backend_memory_contexts pg_get_loaded_modules pg_get_shmem_allocations "
        "pg_get_wait_events pg_hba_file_rules pg_ident_file_mappings pg_jit_available "
        "pg_show_all_file_settings"
    ),
    "statistics": (
        "pg_stat_get_backend_io pg_stat_get_backend_wal pg_stat_get_io "
        "pg_stat_get_xact_blocks_fetched pg_stat_get_xact_blocks_hit pg_stat_get_xact_function_calls "
        "pg_stat_get_xact_function_self_time pg_stat_get_xact_function_total_time "
        "pg_stat_get_xact_numscans pg_stat_get_xact_tuples_deleted pg_stat_get_xact_tuples_fetched "
        "pg_stat_get_xact_tuples_hot_updated pg_stat_get_xact_tuples_inserted "
        "pg_stat_get_xact_tuples_newpage_updated pg_stat_get_xact_tuples_returned "
        "pg_stat_get_xact_tuples_updated pg_stat_have_stats"
    ),
    "the system's catalogue": "current_query pg_partition_ancestors pg_partition_tree",
}

_REFUSED: Final[Mapping[str, str]] = {
    "ends or wakes other sessions": "pg_cancel_backend pg_terminate_backend pg_log_backend_memory_contexts",
    "takes or gives up advisory locks": (
        "pg_advisory_lock pg_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_all "
        "pg_advisory_unlock_shared pg_advisory_xact_lock pg_advisory_xact_lock_shared "
        "pg_try_advisory_lock pg_try_advisory_lock_shared pg_try_advisory_xact_lock "
        "pg_try_advisory_xact_lock_shared"
    ),
    "changes or depends on the sequences of the session": "currval lastval nextval setval",
    "changes settings of the session": "set_config setseed pg_stat_clear_snapshot",
    "sends a notification": "pg_notify",
    "uses large objects": (
        "lo_close lo_creat lo_create lo_export lo_from_bytea lo_get lo_import lo_lseek lo_lseek64 "
        "lo_open lo_put lo_tell lo_tell64 lo_truncate lo_truncate64 lo_unlink loread lowrite"
    ),
    "reads files or directories of the server": (
        "pg_ls_archive_statusdir pg_ls_dir pg_ls_logdir pg_ls_logicalmapdir pg_ls_logicalsnapdir "
        "pg_ls_replslotdir pg_ls_summariesdir pg_ls_tmpdir pg_ls_waldir pg_read_binary_file "
        "pg_read_file pg_read_file_old pg_stat_file pg_wal_summary_contents"
    ),
    "runs SQL that it is given as text or reads relations that it is given by name": (
        "cursor_to_xml cursor_to_xmlschema database_to_xml database_to_xml_and_xmlschema "
        "database_to_xmlschema query_to_xml query_to_xml_and_xmlschema query_to_xmlschema "
        "schema_to_xml schema_to_xml_and_xmlschema schema_to_xmlschema table_to_xml "
        "table_to_xml_and_xmlschema table_to_xmlschema ts_rewrite ts_stat"
    ),
    "runs the input function or the checks of a type that it is given by name or number": (
        "array_in array_recv domain_in domain_recv multirange_in multirange_recv pg_input_error_info "
        "pg_input_is_valid range_in range_recv record_in record_recv satisfies_hash_partition"
    ),
    "assigns a transaction id": "pg_current_xact_id txid_current",
    "loads a library": "fmgr_c_validator fmgr_internal_validator fmgr_sql_validator plpgsql_validator",
    "acts on the server, its log, its backups or its standbys": (
        "pg_backup_start pg_backup_stop pg_create_restore_point pg_export_snapshot "
        "pg_log_standby_snapshot pg_promote pg_reload_conf pg_rotate_logfile pg_rotate_logfile_old "
        "pg_switch_wal pg_sync_replication_slots pg_wal_replay_pause pg_wal_replay_resume"
    ),
    "uses replication slots, origins or logical messages": (
        "pg_copy_logical_replication_slot pg_copy_physical_replication_slot "
        "pg_create_logical_replication_slot pg_create_physical_replication_slot "
        "pg_drop_replication_slot pg_logical_emit_message pg_logical_slot_get_binary_changes "
        "pg_logical_slot_get_changes pg_logical_slot_peek_binary_changes pg_logical_slot_peek_changes "
        "pg_replication_origin_advance pg_replication_origin_create pg_replication_origin_drop "
        "pg_replication_origin_progress pg_replication_origin_session_is_setup "
        "pg_replication_origin_session_progress pg_replication_origin_session_reset "
        "pg_replication_origin_session_setup pg_replication_origin_xact_reset "
        "pg_replication_origin_xact_setup pg_replication_slot_advance"
    ),
    "resets or writes statistics": (
        "pg_clear_attribute_stats pg_clear_relation_stats pg_restore_attribute_stats "
        "pg_restore_relation_stats pg_stat_force_next_flush pg_stat_reset pg_stat_reset_backend_stats "
        "pg_stat_reset_replication_slot pg_stat_reset_shared pg_stat_reset_single_function_counters "
        "pg_stat_reset_single_table_counters pg_stat_reset_slru pg_stat_reset_subscription_stats"
    ),
    "maintains indexes or the catalogue": (
        "amvalidate brin_desummarize_range brin_summarize_new_values brin_summarize_range currtid2 "
        "gin_clean_pending_list pg_extension_config_dump pg_get_shmem_allocations_numa "
        "pg_import_system_collations pg_isolation_test_session_is_blocked pg_nextoid "
        "pg_stop_making_pinned_objects"
    ),
    "is for pg_upgrade": (
        "binary_upgrade_add_sub_rel_state binary_upgrade_create_empty_extension "
        "binary_upgrade_logical_slot_has_caught_up binary_upgrade_replorigin_advance "
        "binary_upgrade_set_missing_value binary_upgrade_set_next_array_pg_type_oid "
        "binary_upgrade_set_next_heap_pg_class_oid binary_upgrade_set_next_heap_relfilenode "
        "binary_upgrade_set_next_index_pg_class_oid binary_upgrade_set_next_index_relfilenode "
        "binary_upgrade_set_next_multirange_array_pg_type_oid "
        "binary_upgrade_set_next_multirange_pg_type_oid binary_upgrade_set_next_pg_authid_oid "
        "binary_upgrade_set_next_pg_enum_oid binary_upgrade_set_next_pg_tablespace_oid "
        "binary_upgrade_set_next_pg_type_oid binary_upgrade_set_next_toast_pg_class_oid "
        "binary_upgrade_set_next_toast_relfilenode binary_upgrade_set_record_init_privs"
    ),
}


def _by_name(groups: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType({name: reason for reason, names in groups.items() for name in names.split()})


READING: Final = _by_name(_READING)
"""Built-in functions that the catalogue calls volatile and that only read; with what they read."""

REFUSED: Final = _by_name(_REFUSED)
"""Built-in functions that are refused, whatever the catalogue calls them; with what they do."""

EXTENSIONS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        # Types, operators and pure functions.
        **dict.fromkeys(
            (
                "btree_gin",
                "btree_gist",
                "citext",
                "cube",
                "earthdistance",
                "fuzzystrmatch",
                "hstore",
                "intarray",
                "ltree",
                "pg_trgm",
                "seg",
                "unaccent",
                "vector",
            ),
            frozenset[str](),
        ),
        # Chance.
        "pgcrypto": frozenset({"gen_random_bytes", "gen_random_uuid", "gen_salt"}),
        "uuid-ossp": frozenset({"uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4"}),
        # Statistics; what resets them stays refused.
        "pg_buffercache": frozenset(
            {"pg_buffercache_pages", "pg_buffercache_summary", "pg_buffercache_usage_counts"}
        ),
        "pg_stat_statements": frozenset({"pg_stat_statements", "pg_stat_statements_info"}),
        "pgstattuple": frozenset(
            {
                "pg_relpages",
                "pgstatginindex",
                "pgstathashindex",
                "pgstatindex",
                "pgstattuple",
                "pgstattuple_approx",
            }
        ),
    }
)
"""Reviewed extensions whose functions in C may be called when they are not volatile; and the volatile ones of
theirs that only read. Not among them, because they run SQL, write, reach elsewhere or keep state in functions
that are declared immutable: dblink, file_fdw, isn, lo, pageinspect, postgres_fdw, tablefunc, xml2."""
