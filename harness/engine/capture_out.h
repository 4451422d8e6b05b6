/* SPDX-License-Identifier: BSD-3-Clause */
/* The packets of a case, left behind as a pcapng when somebody will want to see them. One case per process: its state is
 * static. Everything here does nothing when no captures are asked for. */
#ifndef NVC_ENGINE_CAPTURE_OUT_H
#define NVC_ENGINE_CAPTURE_OUT_H

#include <jansson.h>

#include "catalogue/catalogue.h"
#include "host/host.h"

enum capture_mode { CAPTURE_NONE, CAPTURE_FAIL, CAPTURE_ALL };

/* The member "captures" of a run's configuration, and its "keylog". */
struct capture_config {
	enum capture_mode mode;
	bool secrets;
	char directory[4096];
	char interface[64]; /* packets are taken there; empty: they are drawn */
	char command[1024]; /* of the whole run, for the head of the file */
	bool has_keylog;    /* secrets of all cases go to keylog_fd too */
	int keylog_fd;
};

/* capture_config_read reads both; the key log is opened, mode 0600. */
enum nvc_result capture_config_read(
	const json_t *config, struct capture_config *out, struct nvc_error *err);

/* capture_open begins to capture at the interface of `config`, where it has one, what has one of these ports (decimal; an empty
 * one is none); ended by capture_close. */
enum nvc_result capture_open(const struct capture_config *config, const char *const *ports,
	size_t num_ports, struct nvc_error *err);
void capture_close(void);

/* capture_begin begins the recording of a case, before its process is forked: what that process records is written by this
 * one. `in_process`: the network of the case has no addresses of its own. Ended by capture_end. */
void capture_begin(const struct capture_config *config, bool in_process);
void capture_end(void);
/* capture_attach records everything that `host`, the `index`th of the case, does. */
void capture_attach(struct nvc_host *host, unsigned int index);

/* capture_packet tells that the observer has just counted packet `packet`. */
void capture_packet(unsigned int packet);
/* capture_next comments the packet that comes next. */
void capture_next(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* capture_at comments packet `packet` of the observer; 0 is the last one. */
void capture_at(unsigned int packet, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* capture_wanted tells whether capture_write would write; `clean`: nothing is wrong with the case. */
bool capture_wanted(bool clean);
/* capture_write writes the capture of case `id` and returns its path, or NULL when that failed (then `why` is filled).
 * Valid until the next call. */
const char *capture_write(const char *id, struct nvc_error *why);

#endif
