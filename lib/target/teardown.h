/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is freed, kept and closed when something ends. This is where targets go wrong: Linux forgot, at the end of a
 * successful authentication, that the queue was a TLS one, and refused the next REPLACETLSPSK.
 */
#ifndef NVC_TARGET_TEARDOWN_H
#define NVC_TARGET_TEARDOWN_H

#include "target/internal.h"

enum teardown_event {
	TD_SUCCESS1,	    /* Success1 was given and ends the transaction (one-way, or S2 = 0) */
	TD_SUCCESS2,	    /* Success2 was accepted */
	TD_FAILED,	    /* the transaction failed; AUTH_Failure1 waits to be fetched */
	TD_FAILURE1,	    /* AUTH_Failure1 was given */
	TD_FAILURE2,	    /* AUTH_Failure2 came */
	TD_INITIAL_TIMEOUT, /* the first authentication of a queue stalled or never began */
	TD_REAUTH_TIMEOUT,  /* a later one stalled */
	TD_DISCONNECT,	    /* Disconnect on an I/O queue */
	TD_RESET,	    /* CC.EN 1 -> 0 */
	TD_SHUTDOWN,	    /* CC.SHN */
	TD_FATAL,	    /* a fatal transport error; C2HTermReq was sent */
	TD_LOST,	    /* the connection is gone */
	TD_KATO,	    /* no command on the admin queue for KATO */
	NUM_TEARDOWN_EVENTS
};

/* nvc_teardown does the steps of the row of `event` on the queue of `conn`. */
void nvc_teardown(struct conn *conn, enum teardown_event event);

/* nvc_teardown_event_name returns "Success1 given" etc. Static storage. */
const char *nvc_teardown_event_name(enum teardown_event event);

#endif
