/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness/engine/capture_out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "capture/live.h"
#include "capture/recorder.h"

enum {
	LIMIT = 16 << 20, /* bytes kept of one case */
	LIVE_LIMIT =
		2 *
		LIMIT, /* and of an interface meanwhile: headers, and what others send to these ports */
	/* A drawn frame costs at most some 120 bytes beside its payload; small writes cost most. */
	FILE_LIMIT = LIMIT * 8,
	FIRST_PORT = 49152, /* of the dynamic ports (RFC 6335, 6) */
	NUM_PORTS = 65536 - FIRST_PORT,
	HOST_STRIDE = 100000, /* each host's own numbers begin at 1 */
	MAX_HOSTS_ATTACHED = 8,
};

struct attached {
	struct nvc_host *host;
	unsigned int index;
};

static struct {
	const struct capture_config *config;
	struct nvc_recorder *recorder; /* NULL: nothing is recorded */
	bool in_process;
	unsigned int num_opened;
	size_t *marks; /* by packet of the observer */
	size_t num_marks, cap_marks;
	struct attached attached[MAX_HOSTS_ATTACHED];
	char path[4608];
} out;

/* ---- configuration ---- */

static enum nvc_result read_captures(
	const json_t *captures, struct capture_config *config, struct nvc_error *err)
{
	const char *mode = json_string_value(json_object_get(captures, "mode"));
	const char *directory = json_string_value(json_object_get(captures, "directory"));
	const char *command = json_string_value(json_object_get(captures, "command"));
	const char *interface = json_string_value(json_object_get(captures, "interface"));

	if (!mode || strcmp(mode, "none") == 0)
		return NVC_OK;
	if (strcmp(mode, "fail") != 0 && strcmp(mode, "all") != 0)
		return nvc_fail(err, NVC_E_INVALID, "captures: mode is 'fail', 'all' or 'none'");
	if (!directory || strlen(directory) >= sizeof(config->directory))
		return nvc_fail(err, NVC_E_INVALID, "captures: no directory to write to");
	if (interface && strlen(interface) >= sizeof(config->interface))
		return nvc_fail(err, NVC_E_INVALID, "captures: no interface has so long a name");
	config->mode = mode[0] == 'a' ? CAPTURE_ALL : CAPTURE_FAIL;
	strcpy(config->interface, interface ? interface : "");
	config->secrets = !json_is_false(json_object_get(captures, "secrets"));
	strcpy(config->directory, directory);
	snprintf(config->command, sizeof(config->command), "%s", command ? command : "");
	return NVC_OK;
}

enum nvc_result capture_config_read(
	const json_t *config, struct capture_config *captures, struct nvc_error *err)
{
	const char *keylog = json_string_value(json_object_get(config, "keylog"));

	*captures = (struct capture_config){0};
	if (keylog) {
		captures->keylog_fd = open(keylog, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		captures->has_keylog = captures->keylog_fd >= 0;
		if (!captures->has_keylog)
			return nvc_fail(
				err, NVC_E_INVALID, "key log %s: %s", keylog, strerror(errno));
	}
	return read_captures(json_object_get(config, "captures"), captures, err);
}

/* ---- recording ---- */

/* Memory that the process of a case shares with the engine, which writes the capture when that process is gone. */
static void *shared;

/* Packets of an interface, for the whole run; NULL: captures are drawn. The process of a case leaves it alone. */
static struct nvc_live *live;

enum nvc_result capture_open(const struct capture_config *config, const char *const *ports,
	size_t num_ports, struct nvc_error *err)
{
	char filter[256] = "";

	if (config->mode == CAPTURE_NONE || !config->interface[0])
		return NVC_OK;
	for (size_t i = 0; i < num_ports; i++) {
		const size_t len = strlen(filter);

		if (ports[i][0])
			snprintf(filter + len, sizeof(filter) - len, "%stcp port %s",
				len ? " or " : "", ports[i]);
	}
	live = nvc_live_open(config->interface, filter, LIVE_LIMIT, err);
	return live ? NVC_OK : err->result;
}

void capture_close(void)
{
	nvc_live_close(live);
	live = NULL;
}

void capture_begin(const struct capture_config *config, bool in_process)
{
	memset(&out, 0, sizeof(out));
	out.config = config;
	out.in_process = in_process;
	if (config->mode == CAPTURE_NONE)
		return;
	if (live)
		nvc_live_forget(live);
	if (!shared) {
		shared = mmap(
			NULL, LIMIT, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (shared == MAP_FAILED)
			shared = NULL;
		/* Without memory the case is judged all the same; that its packets are missing is said when they are
		 * asked for. */
		out.recorder = shared ? nvc_recorder_over(shared, LIMIT) : NULL;
		return;
	}
	out.recorder = shared;
	nvc_recorder_wipe(out.recorder);
}

void capture_end(void)
{
	if (out.recorder)
		nvc_recorder_wipe(out.recorder);
	free(out.marks);
	memset(&out, 0, sizeof(out));
}

/* Addresses for documentation (RFC 5737): a simulated network has none. */
static void invent_ends(
	const struct attached *attached, const struct nvc_address *to, struct nvc_tcp_ends *ends)
{
	static const uint8_t network[] = {192, 0, 2};

	*ends = (struct nvc_tcp_ends){0};
	for (int side = 0; side < 2; side++)
		memcpy(ends->address[side], network, sizeof(network));
	ends->address[0][3] = (uint8_t)(attached->index ? 10 + attached->index : 1);
	ends->address[1][3] = 2;
	ends->port[0] = (uint16_t)(FIRST_PORT + out.num_opened % NUM_PORTS);
	nvc_port_parse(to->port, &ends->port[1]);
}

static uint32_t number_of(const struct attached *attached, uint32_t number)
{
	return attached->index * HOST_STRIDE + number;
}

static void on_opened(void *self, uint32_t number, const struct nvc_stream *lowest,
	const struct nvc_address *to, uint64_t time)
{
	const struct attached *attached = self;
	struct nvc_stream_ends seen;
	struct nvc_tcp_ends ends;

	if (!out.in_process && nvc_stream_tcp_ends(lowest, &seen)) {
		ends.ipv6 = seen.ipv6;
		memcpy(ends.address, seen.address, sizeof(ends.address));
		memcpy(ends.port, seen.port, sizeof(ends.port));
	} else {
		invent_ends(attached, to, &ends);
	}
	out.num_opened++;
	nvc_recorder_opened(out.recorder, number_of(attached, number), &ends, time);
}

static void on_bytes(void *self, uint32_t number, bool h2c, struct nvc_slice bytes, uint64_t time)
{
	nvc_recorder_bytes(out.recorder, number_of(self, number), h2c, bytes, time);
}

static void on_ended(void *self, uint32_t number, bool h2c, enum nvc_end how, uint64_t time)
{
	nvc_recorder_ended(out.recorder, number_of(self, number), h2c, how == NVC_END_RST, time);
}

static void on_secret(void *self, const char *line)
{
	(void)self;
	if (out.recorder)
		nvc_recorder_secret(out.recorder, line);
	/* A key log that cannot be written is no reason to end a case. */
	if (out.config->has_keylog)
		dprintf(out.config->keylog_fd, "%s\n", line);
}

void capture_attach(struct nvc_host *host, unsigned int index)
{
	if (index >= MAX_HOSTS_ATTACHED || !out.config)
		return;
	out.attached[index] = (struct attached){host, index};
	if (out.recorder)
		host->network = (struct nvc_host_network){
			&out.attached[index], on_opened, on_bytes, on_ended};
	if (out.recorder || out.config->has_keylog)
		host->keylog = on_secret;
}

void capture_packet(unsigned int packet)
{
	size_t cap = out.cap_marks ? out.cap_marks : 256;
	size_t *marks;

	if (!out.recorder)
		return;
	while (cap <= packet)
		cap *= 2;
	if (cap != out.cap_marks) {
		marks = realloc(out.marks, cap * sizeof(*marks));
		if (!marks)
			return;
		out.marks = marks;
		out.cap_marks = cap;
	}
	while (out.num_marks <= packet)
		out.marks[out.num_marks++] = nvc_recorder_mark(out.recorder);
}

static void comment(size_t mark, const char *format, va_list args)
{
	char text[1024];

	vsnprintf(text, sizeof(text), format, args);
	nvc_recorder_comment(out.recorder, mark, text);
}

void capture_next(const char *format, ...)
{
	va_list args;

	if (!out.recorder)
		return;
	va_start(args, format);
	comment(nvc_recorder_mark(out.recorder) + 1, format, args);
	va_end(args);
}

void capture_at(unsigned int packet, const char *format, ...)
{
	va_list args;

	if (!out.recorder)
		return;
	va_start(args, format);
	comment(packet && packet < out.num_marks ? out.marks[packet]
						 : nvc_recorder_mark(out.recorder),
		format, args);
	va_end(args);
}

/* ---- writing ---- */

bool capture_wanted(bool clean)
{
	/* A case that was skipped has no packets. */
	if (out.recorder && nvc_recorder_mark(out.recorder) == 0)
		return false;
	return out.config &&
	       (out.config->mode == CAPTURE_ALL || (out.config->mode == CAPTURE_FAIL && !clean));
}

/* What has to be added to the clock of the run to make it the time of day. A simulated one stays as it is, so that the
 * same seed gives the same file. */
static uint64_t epoch(void)
{
	struct timespec day, run;

	if (out.in_process)
		return 0;
	clock_gettime(CLOCK_REALTIME, &day);
	clock_gettime(CLOCK_MONOTONIC, &run);
	return ((uint64_t)day.tv_sec - (uint64_t)run.tv_sec) * 1000000000 +
	       ((uint64_t)day.tv_nsec - (uint64_t)run.tv_nsec);
}

static bool write_all(int fd, struct nvc_slice bytes)
{
	while (bytes.len) {
		ssize_t num = write(fd, bytes.data, bytes.len);

		if (num < 0 && errno == EINTR)
			continue;
		if (num <= 0)
			return false;
		bytes = nvc_slice_sub(bytes, (size_t)num, bytes.len);
	}
	return true;
}

static enum nvc_result write_file(struct nvc_slice bytes, struct nvc_error *why)
{
	char temporary[sizeof(out.path) + 8];
	bool written;
	int fd;

	if (mkdir(out.config->directory, 0777) != 0 && errno != EEXIST)
		return nvc_fail(
			why, NVC_E_SYSTEM, "%s: %s", out.config->directory, strerror(errno));
	snprintf(temporary, sizeof(temporary), "%s.new", out.path);
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		out.config->secrets ? 0600 : 0666);
	if (fd < 0)
		return nvc_fail(why, NVC_E_SYSTEM, "%s: %s", temporary, strerror(errno));
	written = write_all(fd, bytes);
	written = close(fd) == 0 && written;
	if (written && rename(temporary, out.path) == 0)
		return NVC_OK;
	unlink(temporary);
	return nvc_fail(why, NVC_E_SYSTEM, "%s: %s", out.path, strerror(errno));
}

static bool next_live(void *self, size_t *at, struct nvc_packet *packet)
{
	return nvc_live_next(self, at, packet);
}

static bool all_seen(void *self)
{
	return nvc_recorder_all_seen(out.recorder, self);
}

/* Fills `file` with what the interface showed of the case; without any such packet, from the streams, and says so. */
static enum nvc_result fill(const struct nvc_recorder_about *about, struct nvc_pcapng *file)
{
	char command[sizeof(out.config->command) + 512];
	struct nvc_recorder_seen seen = {.interface = out.config->interface, .next = next_live};
	struct nvc_recorder_about drawn = *about;
	enum nvc_result result;
	size_t num;

	if (!live)
		return nvc_recorder_write(out.recorder, about, file);
	seen.self = live;
	seen.link = nvc_live_link(live);
	nvc_live_settle(live, all_seen, &seen);
	seen.lost = nvc_live_lost(live);
	result = nvc_recorder_write_seen(out.recorder, about, &seen, &num, file);
	if (result != NVC_OK || num)
		return result;
	nvc_pcapng_fini(file);
	nvc_pcapng_init(file, FILE_LIMIT);
	snprintf(command, sizeof(command),
		"%s; interface %s showed no packet of this case: they are drawn from the streams",
		about->command, out.config->interface);
	drawn.command = command;
	return nvc_recorder_write(out.recorder, &drawn, file);
}

static void set_path(const char *id)
{
	const int len = snprintf(out.path, sizeof(out.path), "%s/", out.config->directory);

	snprintf(out.path + len, sizeof(out.path) - (size_t)len, "%s.pcapng", id);
	for (char *at = out.path + len; *at; at++)
		if (*at == '/')
			*at = '_';
}

const char *capture_write(const char *id, struct nvc_error *why)
{
	struct nvc_pcapng file;
	char command[sizeof(out.config->command) + 256];
	const struct nvc_recorder_about about = {
		.application = "nvme-conform " NVC_VERSION,
		.command = command,
		.host_name = "host",
		.target_name = "target",
		.epoch = epoch(),
		.secrets = out.config->secrets,
	};
	enum nvc_result result;

	if (!out.recorder) {
		nvc_fail(why, NVC_E_NO_MEMORY, "no memory for the capture");
		return NULL;
	}
	snprintf(command, sizeof(command), "case %s; %s", id, out.config->command);
	set_path(id);
	nvc_pcapng_init(&file, FILE_LIMIT);
	result = fill(&about, &file);
	if (result == NVC_OK)
		result = write_file(nvc_slice_of(file.data, file.len), why);
	else
		nvc_fail(why, result, "no memory for the capture");
	nvc_pcapng_fini(&file);
	return result == NVC_OK ? out.path : NULL;
}
