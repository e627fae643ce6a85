/*
 * crc32c.h
 *		CRC-32C (Castagnoli), reflected, initial value and final xor all ones, as in iSCSI and PostgreSQL.
 */
#ifndef HOLDFAST_CRC32C_H
#define HOLDFAST_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of "123456789": 0xe3069283.  Async-signal-safe. */
uint32_t holdfast_crc32c(const void *bytes, size_t length);

#endif
