/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded into tlshd 1.4.0 in the guest. tlshd sets TLS_TX_MAX_PAYLOAD_LEN, which kernels before
 * 6.19 do not have, and gives up the handshake when that fails. The option only tunes record sizes,
 * so "no such option" for just this one is turned into success. Linked without a C library, so that
 * it takes whatever version of it the guest has.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SHIM_SOL_TLS		    282
#define SHIM_TLS_TX_MAX_PAYLOAD_LEN 5

int setsockopt(int fd, int level, int name, const void *value, socklen_t value_len)
{
	int rc = (int)syscall(SYS_setsockopt, fd, level, name, value, value_len);

	if (rc < 0 && errno == ENOPROTOOPT && level == SHIM_SOL_TLS &&
		name == SHIM_TLS_TX_MAX_PAYLOAD_LEN)
		return 0;
	return rc;
}
