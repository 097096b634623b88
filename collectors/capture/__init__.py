"""Where bytes come from: HEP servers, HEP files, capture files. The only part of collectors that does I/O."""
