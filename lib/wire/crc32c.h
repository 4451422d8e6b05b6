/* SPDX-License-Identifier: BSD-3-Clause */
/* CRC-32C (Castagnoli), the header and data digest of NVMe/TCP (TCP Transport 1.0, 3.3.1). */
#ifndef NVC_WIRE_CRC32C_H
#define NVC_WIRE_CRC32C_H

#include "wire/bytes.h"

/* nvc_crc32c returns the digest of `in`; it is stored on the wire little-endian. */
uint32_t nvc_crc32c(struct nvc_slice in);

#endif
