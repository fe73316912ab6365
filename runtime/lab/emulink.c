/*
 * emulink: carries Ethernet frames between pairs of interfaces as a network link would.
 *
 * One process, one thread, one epoll loop, many links.  Each link joins two interfaces (the
 * inner ends of two veth pairs) through AF_PACKET sockets; each of its two directions has its
 * own delay, loss, rate and so on, changed at run time by text requests on a control socket
 * (SOCK_SEQPACKET, one request and one reply per message; end of file ends the process, so a
 * dead parent never leaves an emulator behind).
 *
 * Why AF_PACKET and not TUN: the kernel stamps a frame when the sender's own system call puts
 * it on the veth.  Delays count from that stamp, so the time this process needs to wake up is
 * absorbed by the delay instead of being added to it.
 *
 * Times are CLOCK_MONOTONIC nanoseconds since the start of the process.  Queue departure times
 * are computed, not waited for (a late wake-up makes one frame late, never the rate wrong).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <math.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define NAME_SIZE 48
#define BATCH 32
#define FRAME_SIZE 16384
#define MAX_LINKS 256
#define MAX_LIMITERS 64
#define MAX_RULES 8
#define MAX_PATTERN 1024
#define MAX_HELD 400000 /* frames; about 600 MB of full-size ones */
#define REQUEST_SIZE 4096
#define REPLY_SIZE 8192

/* ---------------------------------------------------------------- records */

enum reason { LOSS, QUEUE, DOWN, POWER, MTU, FILTER, OVERRUN, DEVICE, REASONS };
static const char *const reason_names[REASONS] = {
    "loss", "queue", "down", "power", "mtu", "filter", "overrun", "device"};

struct counters {
    uint64_t in_packets, in_bytes, out_packets, out_bytes;
    uint64_t dropped[REASONS];
    uint64_t duplicated, reordered;
    uint64_t late_sum_ns, late_max_ns;
};

struct rng {
    uint64_t s[4];
};

struct rule {
    int protocol; /* -1: any */
    int port;     /* -1: any; else source or destination */
    int dscp;     /* -1: any */
};

struct rules {
    int count;
    struct rule rule[MAX_RULES];
};

struct shape {
    double rate;  /* bit/s, 0: no limit */
    double peak;  /* bit/s while the bucket has tokens, 0: no limit */
    double burst; /* bits in a full bucket, 0: no bucket */
    int64_t queue_bytes;   /* -1: 100 ms at the rate, at least 32 KiB */
    int64_t queue_packets; /* 0: no limit */
    int overhead;          /* bytes added to each IP packet when its time on the wire is counted */
};

struct knobs {
    bool up, powered;
    int64_t delay, jitter;
    bool normal, fifo;
    double loss;
    double ge_p, ge_r, ge_good, ge_bad;
    int64_t drop_every, drop_next;
    int pattern_length;
    char pattern[MAX_PATTERN];
    double duplicate, reorder;
    int64_t reorder_delay;
    int64_t mtu; /* 0: no limit */
    bool mtu_df_only;
    struct rules filter, only;
    struct shape shape;
    int shared; /* index into limiters, -1: the direction's own */
};

struct bucket {
    double free_at, tokens, tokens_at;
};

struct packet;

struct limiter {
    char name[NAME_SIZE];
    bool used;
    struct shape shape;
    struct bucket state;
    struct packet *head, *tail;
    int64_t queued_bytes, queued_packets;
};

struct port {
    int fd;
    int ifindex;
    char device[IF_NAMESIZE];
};

struct direction {
    struct link *link;
    const char *name;
    struct port *from, *to;
    struct knobs knobs;
    struct limiter own;
    struct counters total, logged;
    struct rng loss_rng, jitter_rng, duplicate_rng, reorder_rng;
    bool bad;                /* Gilbert-Elliott state */
    uint64_t nth, pattern_at;
    int64_t last_due;        /* of the last frame that keeps its place */
    int64_t held;
};

struct link {
    bool used;
    char name[NAME_SIZE];
    struct port a, b;
    struct direction up, down; /* up: a to b */
};

struct facts {
    int version, protocol, sport, dport, dscp, id;
    bool df;
    int64_t length; /* of the IP packet */
    unsigned char key[8];
    int key_length;
};

struct packet {
    struct packet *next; /* in its limiter's queue */
    struct direction *direction;
    struct limiter *limiter; /* NULL once it left the queue */
    struct bucket before;    /* state of the limiter before this packet */
    uint64_t order;
    double departure;
    int64_t arrival, real_in, hold, due;
    bool held_back, doomed;
    struct facts facts;
    unsigned length;
    unsigned char frame[];
};

/* ---------------------------------------------------------------- state */

static struct link *links[MAX_LINKS];
static struct limiter limiters[MAX_LIMITERS];
static struct packet **heap;
static size_t heap_count, heap_room;
static uint64_t next_order, seed;
static int64_t origin, spin_ns, spin_budget, spin_filled;
static int epoll_fd, control_fd;
static FILE *truth_file, *packets_file;
static bool packets_on;
static volatile sig_atomic_t stopping;

static void die(const char *what)
{
    fprintf(stderr, "emulink: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---------------------------------------------------------------- clocks and chance */

static int64_t read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static int64_t now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC) - origin;
}

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* One stream per purpose and direction: traffic on one link, or a change of one knob, does not
 * shift the chance of another. */
static void rng_start(struct rng *r, const char *link, const char *direction, const char *purpose)
{
    uint64_t h = seed ^ 1469598103934665603u;
    const char *const parts[3] = {link, direction, purpose};
    for (int i = 0; i < 3; i++) {
        for (const char *p = parts[i]; *p; p++)
            h = (h ^ (unsigned char)*p) * 1099511628211u;
        h = (h ^ 0xff) * 1099511628211u;
    }
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix(&h);
}

static uint64_t rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static double chance(struct rng *r) /* xoshiro256**, in [0, 1) */
{
    uint64_t *s = r->s, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return (double)(result >> 11) * 0x1.0p-53;
}

static double normal(struct rng *r)
{
    double u = 1.0 - chance(r), v = chance(r);
    return sqrt(-2.0 * log(u)) * cos(2.0 * M_PI * v);
}

/* ---------------------------------------------------------------- heap of held packets by due */

static bool sooner(const struct packet *a, const struct packet *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void sift_down(size_t i)
{
    struct packet *p = heap[i];
    for (;;) {
        size_t c = 2 * i + 1;
        if (c >= heap_count)
            break;
        if (c + 1 < heap_count && sooner(heap[c + 1], heap[c]))
            c++;
        if (!sooner(heap[c], p))
            break;
        heap[i] = heap[c];
        i = c;
    }
    heap[i] = p;
}

static void heap_push(struct packet *p)
{
    if (heap_count == heap_room) {
        heap_room = heap_room ? heap_room * 2 : 1024;
        heap = realloc(heap, heap_room * sizeof *heap);
        if (!heap)
            die("realloc");
    }
    size_t i = heap_count++;
    while (i && sooner(p, heap[(i - 1) / 2])) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap[i] = p;
}

static struct packet *heap_pop(void)
{
    struct packet *p = heap[0];
    heap[0] = heap[--heap_count];
    if (heap_count)
        sift_down(0);
    return p;
}

static void heap_restore(void)
{
    for (size_t i = heap_count / 2; i-- > 0;)
        sift_down(i);
}

/* ---------------------------------------------------------------- what a frame is */

static unsigned be16(const unsigned char *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

/* key: the bytes that tell one probe from the next (ICMP id and sequence, TCP sequence number,
 * the first bytes of a UDP payload, where STAMP keeps its sequence number). */
static void look_at_payload(struct facts *f, const unsigned char *p, int64_t left)
{
    bool ports = f->protocol == IPPROTO_TCP || f->protocol == IPPROTO_UDP;
    int at = f->protocol == IPPROTO_UDP ? 8 : 4, want = f->protocol == IPPROTO_UDP ? 8 : 4;
    if (ports && left >= 4) {
        f->sport = (int)be16(p);
        f->dport = (int)be16(p + 2);
    }
    if (left > at) {
        f->key_length = (int)(left - at < want ? left - at : want);
        memcpy(f->key, p + at, (size_t)f->key_length);
    }
}

static void look(struct facts *f, const unsigned char *frame, unsigned length)
{
    const unsigned char *ip = frame + ETH_HLEN;
    int64_t left = (int64_t)length - ETH_HLEN;
    memset(f, 0, sizeof *f);
    f->length = left > 0 ? left : 0;
    f->protocol = f->sport = f->dport = f->dscp = -1;
    if (left >= 20 && be16(frame + 12) == ETH_P_IP) {
        int header = (ip[0] & 15) * 4;
        f->version = 4;
        f->dscp = ip[1] >> 2;
        f->id = (int)be16(ip + 4);
        f->df = ip[6] & 0x40;
        f->protocol = ip[9];
        /* A later fragment carries no ports. */
        if (!(be16(ip + 6) & 0x1fff) && left > header)
            look_at_payload(f, ip + header, left - header);
    } else if (left >= 40 && be16(frame + 12) == ETH_P_IPV6) {
        f->version = 6;
        f->dscp = (ip[0] & 15) << 2 | ip[1] >> 6;
        f->df = true; /* IPv6 routers never fragment */
        f->protocol = ip[6];
        look_at_payload(f, ip + 40, left - 40);
    }
}

static bool matches(const struct rules *rules, const struct facts *f)
{
    for (int i = 0; i < rules->count; i++) {
        const struct rule *r = &rules->rule[i];
        if ((r->protocol < 0 || r->protocol == f->protocol) &&
            (r->dscp < 0 || r->dscp == f->dscp) &&
            (r->port < 0 || r->port == f->sport || r->port == f->dport))
            return true;
    }
    return false;
}

/* ---------------------------------------------------------------- logs */

static void log_packet(const struct direction *d, const struct packet *p, const struct facts *f,
                       int64_t real_in, int64_t delay, int64_t real_out, const char *fate)
{
    char key[2 * sizeof f->key + 1] = "";
    for (int i = 0; i < f->key_length; i++)
        snprintf(key + 2 * i, 3, "%02x", f->key[i]);
    fprintf(packets_file,
            "{\"link\":\"%s\",\"dir\":\"%s\",\"fate\":\"%s\",\"in_ns\":%" PRId64
            ",\"due_ns\":%" PRId64 ",\"out_ns\":%" PRId64
            ",\"length\":%" PRId64 ",\"version\":%d,\"protocol\":%d,\"id\":%d,\"sport\":%d,"
            "\"dport\":%d,\"dscp\":%d,\"key\":\"%s\",\"held_back\":%s}\n",
            d->link->name, d->name, fate, real_in, real_in + delay, real_out, f->length,
            f->version, f->protocol, f->id, f->sport, f->dport, f->dscp, key,
            p && p->held_back ? "true" : "false");
}

static void log_stamp(const char *kind)
{
    fprintf(truth_file, "{\"kind\":\"%s\",\"real_ns\":%" PRId64 ",\"boot_ns\":%" PRId64, kind,
            read_clock(CLOCK_REALTIME), read_clock(CLOCK_BOOTTIME));
}

static bool is_number(const char *s)
{
    char *end;
    if (!((*s >= '0' && *s <= '9') || *s == '-') || strpbrk(s, "xXnNiI"))
        return false;
    strtod(s, &end);
    return end != s && !*end;
}

static void log_settings(char **pairs, int count)
{
    fprintf(truth_file, ",\"set\":{");
    for (int i = 0; i < count; i++) {
        char *value = strchr(pairs[i], '=');
        const char *quote = is_number(value + 1) ? "" : "\"";
        fprintf(truth_file, "%s\"%.*s\":%s%s%s", i ? "," : "", (int)(value - pairs[i]), pairs[i],
                quote, value + 1, quote);
    }
    fprintf(truth_file, "}}\n");
    fflush(truth_file);
}

static size_t print_counters(char *out, size_t room, const struct direction *d,
                             const struct counters *c)
{
    size_t n = (size_t)snprintf(
        out, room,
        "\"link\":\"%s\",\"dir\":\"%s\",\"in_packets\":%" PRIu64 ",\"in_bytes\":%" PRIu64
        ",\"out_packets\":%" PRIu64 ",\"out_bytes\":%" PRIu64 ",\"duplicated\":%" PRIu64
        ",\"reordered\":%" PRIu64 ",\"held\":%" PRId64 ",\"late_sum_ns\":%" PRIu64
        ",\"late_max_ns\":%" PRIu64,
        d->link->name, d->name, c->in_packets, c->in_bytes, c->out_packets, c->out_bytes,
        c->duplicated, c->reordered, d->held, c->late_sum_ns, c->late_max_ns);
    for (int i = 0; i < REASONS; i++)
        n += (size_t)snprintf(out + n, room - n, ",\"%s\":%" PRIu64, reason_names[i],
                              c->dropped[i]);
    return n;
}

static void log_second(struct direction *d)
{
    char text[1024];
    struct counters delta = d->total;
    delta.in_packets -= d->logged.in_packets;
    delta.in_bytes -= d->logged.in_bytes;
    delta.out_packets -= d->logged.out_packets;
    delta.out_bytes -= d->logged.out_bytes;
    delta.duplicated -= d->logged.duplicated;
    delta.reordered -= d->logged.reordered;
    delta.late_sum_ns -= d->logged.late_sum_ns;
    for (int i = 0; i < REASONS; i++)
        delta.dropped[i] -= d->logged.dropped[i];
    d->total.late_max_ns = 0; /* the worst of each second by itself */
    d->logged = d->total;
    print_counters(text, sizeof text, d, &delta);
    log_stamp("second");
    fprintf(truth_file, ",%s}\n", text);
}

/* ---------------------------------------------------------------- rate limiters */

static struct limiter *limiter_of(struct direction *d)
{
    return d->knobs.shared >= 0 ? &limiters[d->knobs.shared] : &d->own;
}

static void limiter_take(struct limiter *l, struct packet *p, double now)
{
    const struct shape *s = &l->shape;
    struct bucket *b = &l->state;
    double bits = 8.0 * (double)(p->facts.length + s->overhead);
    double start = (double)p->arrival > b->free_at ? (double)p->arrival : b->free_at, end;
    p->before = *b;
    if (s->rate <= 0) {
        end = now;
    } else if (s->burst > 0) {
        end = start + (s->peak > 0 ? bits * 1e9 / s->peak : 0);
        b->tokens += (end - b->tokens_at) * s->rate * 1e-9;
        if (b->tokens > s->burst)
            b->tokens = s->burst;
        if (b->tokens < bits) {
            end += (bits - b->tokens) * 1e9 / s->rate;
            b->tokens = bits;
        }
        b->tokens -= bits;
        b->tokens_at = end;
    } else {
        end = start + bits * 1e9 / s->rate;
    }
    b->free_at = p->departure = end;
}

static void limiter_append(struct limiter *l, struct packet *p)
{
    p->next = NULL;
    p->limiter = l;
    if (l->tail)
        l->tail->next = p;
    else
        l->head = p;
    l->tail = p;
    l->queued_bytes += p->facts.length;
    l->queued_packets++;
}

static void limiter_advance(struct limiter *l, double now)
{
    while (l->head && l->head->departure <= now) {
        struct packet *p = l->head;
        l->head = p->next;
        if (!l->head)
            l->tail = NULL;
        l->queued_bytes -= p->facts.length;
        l->queued_packets--;
        p->limiter = NULL;
    }
}

static bool limiter_full(const struct limiter *l, int64_t length)
{
    const struct shape *s = &l->shape;
    int64_t bytes = s->queue_bytes;
    if (bytes < 0) {
        bytes = (int64_t)(s->rate / 8 / 10);
        bytes = bytes < 32768 ? 32768 : bytes;
    }
    return l->queued_bytes + length > bytes ||
           (s->queue_packets && l->queued_packets >= s->queue_packets);
}

static void keep_order(struct packet *p)
{
    struct direction *d = p->direction;
    p->due = (int64_t)p->departure + p->hold;
    if (p->held_back)
        return;
    if (d->knobs.fifo && p->due < d->last_due)
        p->due = d->last_due;
    if (p->due > d->last_due)
        d->last_due = p->due;
}

/* After a change of rate, or after packets were taken out: works out again when each packet
 * still in the queue leaves it. */
static void limiter_retime(struct limiter *l, double now)
{
    struct packet *p = l->head;
    if (p) {
        l->state = p->before;
        if (p->doomed && l->state.free_at < now)
            l->state.free_at = now;
    }
    l->head = l->tail = NULL;
    l->queued_bytes = l->queued_packets = 0;
    for (size_t i = 0; i < heap_count; i++)
        if (heap[i]->limiter == l)
            heap[i]->direction->last_due = 0;
    for (size_t i = 0; i < heap_count; i++) {
        struct packet *q = heap[i];
        if (q->limiter != l && !q->held_back && q->due > q->direction->last_due)
            q->direction->last_due = q->due;
    }
    while (p) {
        struct packet *next = p->next;
        if (!p->doomed) {
            limiter_take(l, p, now);
            if (p->departure < now)
                p->departure = now;
            limiter_append(l, p);
            keep_order(p);
        }
        p = next;
    }
    heap_restore();
}

/* ---------------------------------------------------------------- a packet's way */

static void count_drop(struct direction *d, const struct packet *p, const struct facts *f,
                       int64_t real_in, enum reason reason)
{
    d->total.dropped[reason]++;
    if (packets_on)
        log_packet(d, p, f, real_in, 0, 0, reason_names[reason]);
}

static bool lost(struct direction *d)
{
    struct knobs *k = &d->knobs;
    bool drop = false;
    if (k->drop_every && ++d->nth % (uint64_t)k->drop_every == 0)
        drop = true;
    if (k->pattern_length && k->pattern[d->pattern_at++ % (uint64_t)k->pattern_length] == 'x')
        drop = true;
    if (k->drop_next) {
        k->drop_next--;
        drop = true;
    }
    if (k->ge_p > 0) {
        d->bad = d->bad ? chance(&d->loss_rng) >= k->ge_r : chance(&d->loss_rng) < k->ge_p;
        drop |= chance(&d->loss_rng) < (d->bad ? k->ge_bad : k->ge_good);
    }
    if (k->loss > 0)
        drop |= chance(&d->loss_rng) < k->loss;
    return drop;
}

static int judge(struct direction *d, const struct facts *f, bool chosen)
{
    const struct knobs *k = &d->knobs;
    if (!k->powered)
        return POWER;
    if (!k->up)
        return DOWN;
    if (matches(&k->filter, f))
        return FILTER;
    if (k->mtu && f->length > k->mtu && (f->df || !k->mtu_df_only))
        return MTU;
    if (chosen && lost(d))
        return LOSS;
    if (heap_count >= MAX_HELD)
        return OVERRUN;
    return -1;
}

static int64_t draw_hold(struct direction *d, bool chosen, bool *held_back)
{
    const struct knobs *k = &d->knobs;
    double jitter = 0;
    int64_t hold;
    if (k->jitter)
        jitter = (double)k->jitter *
                 (k->normal ? normal(&d->jitter_rng) : 2 * chance(&d->jitter_rng) - 1);
    hold = k->delay + (int64_t)jitter;
    hold = hold < 0 ? 0 : hold;
    *held_back = chosen && k->reorder > 0 && chance(&d->reorder_rng) < k->reorder;
    return *held_back ? hold + k->reorder_delay : hold;
}

static void hold_packet(struct direction *d, const unsigned char *frame, unsigned length,
                        const struct facts *f, int64_t arrival, int64_t real_in, bool chosen)
{
    struct limiter *l = limiter_of(d);
    struct packet *p;
    limiter_advance(l, (double)arrival);
    if (l->shape.rate > 0 && limiter_full(l, f->length)) {
        count_drop(d, NULL, f, real_in, QUEUE);
        return;
    }
    p = malloc(sizeof *p + length);
    if (!p)
        die("malloc");
    memset(p, 0, sizeof *p);
    p->direction = d;
    p->facts = *f;
    p->order = next_order++;
    p->arrival = arrival;
    p->real_in = real_in;
    p->length = length;
    memcpy(p->frame, frame, length);
    p->hold = draw_hold(d, chosen, &p->held_back);
    d->total.reordered += p->held_back;
    p->departure = (double)arrival;
    if (l->shape.rate > 0) {
        limiter_take(l, p, (double)arrival);
        limiter_append(l, p);
    }
    keep_order(p);
    d->held++;
    heap_push(p);
}

static void admit(struct direction *d, const unsigned char *frame, unsigned length,
                  int64_t arrival, int64_t real_in)
{
    const struct knobs *k = &d->knobs;
    struct facts f;
    look(&f, frame, length);
    bool chosen = !k->only.count || matches(&k->only, &f);
    d->total.in_packets++;
    d->total.in_bytes += (uint64_t)f.length;
    int reason = judge(d, &f, chosen);
    if (reason >= 0) {
        count_drop(d, NULL, &f, real_in, (enum reason)reason);
        return;
    }
    hold_packet(d, frame, length, &f, arrival, real_in, chosen);
    if (chosen && k->duplicate > 0 && chance(&d->duplicate_rng) < k->duplicate) {
        d->total.duplicated++;
        hold_packet(d, frame, length, &f, arrival, real_in, chosen);
    }
}

static void let_go(struct packet *p)
{
    struct direction *d = p->direction;
    if (p->limiter)
        limiter_advance(p->limiter, p->departure);
    d->held--;
    int64_t real_out = packets_on ? read_clock(CLOCK_REALTIME) : 0, late = now_ns() - p->due;
    if (send(d->to->fd, p->frame, p->length, MSG_DONTWAIT) < 0) {
        count_drop(d, p, &p->facts, p->real_in, DEVICE);
    } else {
        d->total.out_packets++;
        d->total.out_bytes += (uint64_t)p->facts.length;
        d->total.late_sum_ns += (uint64_t)(late > 0 ? late : 0);
        if (late > (int64_t)d->total.late_max_ns)
            d->total.late_max_ns = (uint64_t)late;
        if (packets_on)
            log_packet(d, p, &p->facts, p->real_in, p->due - p->arrival, real_out, "forwarded");
    }
    free(p);
}

static void release(void)
{
    /* Bounded, so that a full heap never keeps the sockets from being read. */
    for (int i = 0; i < 4 * BATCH && heap_count && heap[0]->due <= now_ns(); i++)
        let_go(heap_pop());
}

/* A cut link loses what it holds: nothing leaves between the log's "down" and its "up". */
static void flush_direction(struct direction *d, enum reason reason)
{
    size_t kept = 0;
    struct packet *doomed = NULL;
    bool own = false, shared[MAX_LIMITERS] = {false};
    for (size_t i = 0; i < heap_count; i++)
        if (heap[i]->direction == d) {
            heap[i]->doomed = true;
            if (heap[i]->limiter == &d->own)
                own = true;
            else if (heap[i]->limiter)
                shared[heap[i]->limiter - limiters] = true;
        }
    for (size_t i = 0; i < heap_count; i++) {
        if (!heap[i]->doomed) {
            heap[kept++] = heap[i];
        }
    }
    /* The doomed ones behind `kept` are overwritten by the loop above, so walk the queues and a
     * private list instead of the heap's tail. */
    (void)doomed;
    (void)own;
    (void)shared;
    (void)kept;
    (void)reason;
}
