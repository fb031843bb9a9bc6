-- Take the settings of migrate_settings back.
RESET ALL
