/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libcurl with everything that could surprise switched off. An easy handle is reset before each request,
 * which keeps its connection, and each request sets every option it depends on, so no request inherits from
 * another.
 */
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http.h"

struct http_client {
	CURL *easy;
};

struct transfer {
	const struct http_request *request;
	struct http_response *response;
	CURL *easy;
	size_t taken;		/* bytes of a 2xx body given to the sink or kept */
	size_t room;		/* allocated for response->body */
	size_t maximum;
	bool begun;
	bool cut;		/* a refusal's body was longer than we keep */
	int failure;		/* ours, negative; outranks the CURLcode */
};

static const struct {
	CURLcode code;
	int result;
} translations[] = {
	{ CURLE_URL_MALFORMAT, -EINVAL },
	{ CURLE_UNSUPPORTED_PROTOCOL, -EINVAL },
	{ CURLE_BAD_FUNCTION_ARGUMENT, -EINVAL },
	{ CURLE_COULDNT_RESOLVE_HOST, -EHOSTUNREACH },
	{ CURLE_COULDNT_CONNECT, -ECONNREFUSED },
	{ CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT },
	{ CURLE_PARTIAL_FILE, -ECONNRESET },
	{ CURLE_GOT_NOTHING, -ECONNRESET },
	{ CURLE_SEND_ERROR, -ECONNRESET },
	{ CURLE_RECV_ERROR, -ECONNRESET },
	{ CURLE_SSL_CONNECT_ERROR, -EPROTO },
	{ CURLE_PEER_FAILED_VERIFICATION, -EKEYREJECTED },
	{ CURLE_SSL_CACERT_BADFILE, -ENOKEY },
	{ CURLE_WEIRD_SERVER_REPLY, -EPROTO },
	{ CURLE_BAD_CONTENT_ENCODING, -EPROTO },
	{ CURLE_TOO_LARGE, -EMSGSIZE },
	{ CURLE_FILESIZE_EXCEEDED, -EMSGSIZE },
	{ CURLE_OUT_OF_MEMORY, -ENOMEM },
};

static int translate(CURLcode code)
{
	for (size_t i = 0; i < sizeof(translations) / sizeof(*translations); i++)
		if (translations[i].code == code)
			return translations[i].result;
	return -EIO;
}

bool http_worth_retry(int result, long status)
{
	switch (result) {
	case 0:
		return status == 408 || status == 429 || status >= 500;
	case -EHOSTUNREACH:
	case -ECONNREFUSED:
	case -ETIMEDOUT:
	case -ECONNRESET:
	case -EPROTO:
	case -EIO:
	case -ENOMEM:
		return true;
	default:
		return false;
	}
}

static const char *header(CURL *easy, const char *name)
{
	struct curl_header *found;

	/* Of the last answer only: interim 1xx answers have headers of their own. */
	if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &found) != CURLHE_OK)
		return NULL;
	return found->value;
}

/* Digits, and then this byte; *at moves behind it. */
static bool take_number(const char **at, char end, uint64_t *ret)
{
	uint64_t n = 0;
	const char *p = *at;

	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (n > (UINT64_MAX - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	if (p == *at || *p != end)
		return false;
	*at = p + 1;
	*ret = n;
	return true;
}

/* "bytes 0-99/1234" -> 0 and 1234. Untouched when it says anything else, such as "*" for the total. */
static void read_content_range(const char *value, uint64_t *ret_first, uint64_t *ret_total)
{
	static const char unit[] = "bytes ";
	uint64_t first, last, total;

	if (!value || strncmp(value, unit, sizeof(unit) - 1) != 0)
		return;
	value += sizeof(unit) - 1;
	if (!take_number(&value, '-', &first) || !take_number(&value, '/', &last) ||
	    !take_number(&value, '\0', &total) || first > last || last >= total)
		return;
	*ret_first = first;
	*ret_total = total;
}

static void read_head(CURL *easy, struct http_response *response)
{
	curl_off_t length = -1;

	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &response->status);
	curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	response->content_length = length;
	read_content_range(header(easy, "Content-Range"), &response->first_from_content_range,
			   &response->total_from_content_range);
}

static int keep(struct transfer *t, const char *bytes, size_t size)
{
	struct http_response *response = t->response;

	if (response->body_size + size + 1 > t->room) {
		size_t room = t->room ? t->room : 4096;
		char *grown;

		while (room < response->body_size + size + 1)
			room *= 2;
		grown = realloc(response->body, room);
		if (!grown)
			return -ENOMEM;
		response->body = grown;
		t->room = room;
	}
	memcpy(response->body + response->body_size, bytes, size);
	response->body_size += size;
	response->body[response->body_size] = '\0';
	return 0;
}

static int take_body(struct transfer *t, const char *bytes, size_t size)
{
	const struct http_request *request = t->request;
	struct http_response *response = t->response;
	int r;

	if (!t->begun)
		read_head(t->easy, response);
	if (response->status < 200 || response->status > 299) {
		size_t left = HTTP_REFUSAL_MAX - response->body_size;

		t->begun = true;
		if (size > left) {
			t->cut = true;
			r = keep(t, bytes, left);
			return r ? r : -EMSGSIZE;
		}
		return keep(t, bytes, size);
	}
	if (!t->begun) {
		t->begun = true;
		if (request->begin) {
			r = request->begin(request->sink_context, response);
			if (r)
				return r;
		}
	}
	if (t->maximum && size > t->maximum - t->taken)
		return -EMSGSIZE;
	t->taken += size;
	if (request->sink)
		return request->sink(request->sink_context, bytes, size);
	return keep(t, bytes, size);
}

static size_t on_body(char *bytes, size_t one, size_t size, void *context)
{
	struct transfer *t = context;

	t->failure = take_body(t, bytes, one * size);
	return t->failure ? CURL_WRITEFUNC_ERROR : one * size;
}

static CURLcode set_request_line(CURL *easy, const struct http_request *request)
{
	CURLcode code = CURLE_OK;

	code = code ? code : curl_easy_setopt(easy, CURLOPT_URL, request->url);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	code = code ? code : curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_PROXY, "");
	code = code ? code : curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	if (request->body) {
		code = code ? code : curl_easy_setopt(easy, CURLOPT_POST, 1L);
		code = code ? code : curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
						      (curl_off_t)request->body_size);
		code = code ? code : curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
	} else if (request->method && !strcmp(request->method, "HEAD")) {
		code = code ? code : curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	}
	if (request->method)
		code = code ? code : curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
	return code;
}

static CURLcode set_trust(CURL *easy, const struct http_request *request)
{
	CURLcode code = CURLE_OK;

	code = code ? code : curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	if (request->ca_file)
		code = code ? code : curl_easy_setopt(easy, CURLOPT_CAINFO, request->ca_file);
	return code;
}

static CURLcode set_patience(CURL *easy, const struct http_request *request)
{
	long connect_ms = request->connect_timeout_ms ? request->connect_timeout_ms : HTTP_CONNECT_TIMEOUT_MS;
	long total_ms = request->timeout_ms || request->sink ? request->timeout_ms : HTTP_TIMEOUT_MS;
	long stall_s = request->stall_s ? (long)request->stall_s : HTTP_STALL_S;
	CURLcode code = CURLE_OK;

	code = code ? code : curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, total_ms);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, (long)HTTP_STALL_BYTES);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, stall_s);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	return code;
}

static CURLcode set_body(CURL *easy, struct transfer *t, char *error)
{
	CURLcode code = CURLE_OK;

	code = code ? code : curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
	if (t->request->sink)
		code = code ? code : curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L * 1024);
	return code;
}

static int add_headers(CURL *easy, const struct http_request *request, struct curl_slist **ret)
{
	struct curl_slist *list = NULL, *longer;

	for (size_t i = 0; request->headers && request->headers[i]; i++) {
		longer = curl_slist_append(list, request->headers[i]);
		if (!longer) {
			curl_slist_free_all(list);
			return -ENOMEM;
		}
		list = longer;
	}
	/* Never wait for "100 Continue": our bodies are small. */
	longer = request->body ? curl_slist_append(list, "Expect:") : list;
	if (request->body && !longer) {
		curl_slist_free_all(list);
		return -ENOMEM;
	}
	*ret = longer;
	return curl_easy_setopt(easy, CURLOPT_HTTPHEADER, longer) ? -ENOMEM : 0;
}

static char *copy_header(CURL *easy, const char *name)
{
	const char *value = header(easy, name);

	return value ? strdup(value) : NULL;
}

static void finish(CURL *easy, struct http_response *response)
{
	read_head(easy, response);
	response->content_type = copy_header(easy, "Content-Type");
	response->etag = copy_header(easy, "ETag");
	if (header(easy, "Date"))
		response->date = curl_getdate(header(easy, "Date"), NULL);
	if (!response->body)
		response->body = calloc(1, 1);
}

/* An error in the request itself, as a text for error[], or NULL. */
static const char *objection(const struct http_request *request)
{
	if (!request->url)
		return "no URL";
	if (strncasecmp(request->url, "http://", 7) && strncasecmp(request->url, "https://", 8))
		return "URL is neither http:// nor https://";
	if (!strncasecmp(request->url, "https://", 8) && !(request->ca_file && *request->ca_file))
		return "https needs a CA file";
	for (const char *p = request->url; *p; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p == 0x7f)
			return "URL contains a space or control character";
	return NULL;
}

static void explain(struct http_response *ret, const struct transfer *t, CURLcode code, const char *detail)
{
	if (t->failure == -EMSGSIZE)
		snprintf(ret->error, sizeof(ret->error), "answer is larger than %zu bytes", t->maximum);
	else if (t->failure)
		snprintf(ret->error, sizeof(ret->error), "%s", strerror(-t->failure));
	else
		snprintf(ret->error, sizeof(ret->error), "%s", *detail ? detail : curl_easy_strerror(code));
	for (char *p = ret->error; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
}

int http_client_perform(struct http_client *client, const struct http_request *request,
			struct http_response *ret)
{
	struct transfer t = { .request = request, .response = ret, .easy = client->easy };
	struct curl_slist *headers = NULL;
	char detail[CURL_ERROR_SIZE] = "";
	const char *wrong = objection(request);
	CURLcode code;
	int r;

	*ret = (struct http_response){ .content_length = -1, .date = -1 };
	if (wrong) {
		snprintf(ret->error, sizeof(ret->error), "%s", wrong);
		return -EINVAL;
	}
	t.maximum = request->maximum_bytes || request->sink ? request->maximum_bytes : HTTP_MAXIMUM_BYTES;
	curl_easy_reset(client->easy);
	code = set_request_line(client->easy, request);
	code = code ? code : set_trust(client->easy, request);
	code = code ? code : set_patience(client->easy, request);
	code = code ? code : set_body(client->easy, &t, detail);
	if (!code) {
		r = add_headers(client->easy, request, &headers);
		if (r) {
			snprintf(ret->error, sizeof(ret->error), "out of memory");
			return r;
		}
		code = curl_easy_perform(client->easy);
	}
	if (t.cut && !code)
		code = CURLE_WRITE_ERROR;
	if (code && !t.cut) {
		r = t.failure ? t.failure : translate(code);
		explain(ret, &t, code, detail);
	} else {
		finish(client->easy, ret);
		r = ret->status && ret->body ? 0 : ret->status ? -ENOMEM : -EPROTO;
		/* An empty 2xx body begins too. */
		if (!r && !t.begun && request->begin && ret->status >= 200 && ret->status <= 299)
			r = request->begin(request->sink_context, ret);
		if (r)
			snprintf(ret->error, sizeof(ret->error), "%s", strerror(-r));
	}
	/* The handle must not keep pointers into this frame. */
	curl_easy_setopt(client->easy, CURLOPT_HTTPHEADER, NULL);
	curl_easy_setopt(client->easy, CURLOPT_ERRORBUFFER, NULL);
	curl_slist_free_all(headers);
	return r;
}

int http_client_new(struct http_client **ret)
{
	struct http_client *client;

	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return -ENOMEM;
	client = calloc(1, sizeof(*client));
	if (client)
		client->easy = curl_easy_init();
	if (!client || !client->easy) {
		free(client);
		return -ENOMEM;
	}
	*ret = client;
	return 0;
}

struct http_client *http_client_free(struct http_client *client)
{
	if (client)
		curl_easy_cleanup(client->easy);
	free(client);
	return NULL;
}

int http_perform(const struct http_request *request, struct http_response *ret)
{
	struct http_client *client;
	int r;

	r = http_client_new(&client);
	if (r) {
		*ret = (struct http_response){ .content_length = -1, .date = -1, .error = "out of memory" };
		return r;
	}
	r = http_client_perform(client, request, ret);
	http_client_free(client);
	return r;
}

void http_response_free(struct http_response *response)
{
	free(response->body);
	free(response->content_type);
	free(response->etag);
	*response = (struct http_response){ 0 };
}
