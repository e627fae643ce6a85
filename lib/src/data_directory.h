/*
 * data_directory.h
 *		What identifies the data directory to the kernel.
 */
#ifndef HOLDFAST_DATA_DIRECTORY_H
#define HOLDFAST_DATA_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

/* Device and inode; false with errno when there is none or it cannot be looked at. */
bool holdfast_data_directory_id(uint64_t *device, uint64_t *inode);

#endif
