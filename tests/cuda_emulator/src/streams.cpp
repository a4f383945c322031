// Streams, events, and graphs made by capturing a stream.
#include <atomic>
#include <deque>
#include <set>
#include <thread>
#include <time.h>
#include <vector>

#include "emulator.h"

using namespace emulator;

struct CUgraph_st {
    std::vector<Work> work;
};
struct CUgraphExec_st {
    std::vector<Work> work;
};
struct CUevent_st {
    timespec time = {};
    bool timed = true, recorded = false, captured = false;
    CUstream pending = nullptr;  // where its record waits in the queue of a lazy device
};
struct CUstream_st {
    bool blocking = true;  // whether it orders itself with the legacy stream
    std::deque<Work> queue;
    CUgraph capture = nullptr;
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
    std::thread::id capturer;
    bool invalidated = false;
};

namespace emulator {

std::recursive_mutex device_lock;

namespace {

bool lazy = false;
CUstream_st legacy;  // stream 0
std::set<CUstream> streams;
std::set<CUevent> events;
std::set<CUgraph> graphs;
std::set<CUgraphExec> executables;
std::atomic<size_t> replays{0};

CUstream resolve(CUstream stream) {
    bool named = stream && stream != CU_STREAM_LEGACY && stream != CU_STREAM_PER_THREAD;
    return named ? stream : &legacy;
}

// A capture that meets something it cannot record is lost: cuStreamEndCapture will say so.
CUresult spoil(CUstream stream, CUresult code, const char *what, const char *why) {
    stream->invalidated = true;
    return failed(code, "%s while a stream is being captured: %s", what, why);
}

CUresult drain(CUstream stream) {
    while (!stream->queue.empty()) {
        Work work = std::move(stream->queue.front());
        stream->queue.pop_front();
        CUresult result = work();
        if (result != CUDA_SUCCESS) {  // on a GPU the context would be lost with it
            stream->queue.clear();
            return result;
        }
    }
    return CUDA_SUCCESS;
}

}  // namespace

CUresult finish_all() {
    CUresult result = drain(&legacy);
    for (CUstream stream : streams) {
        CUresult other = drain(stream);
        if (result == CUDA_SUCCESS) result = other;
    }
    return result;
}

CUresult check_stream(CUstream stream) {
    stream = resolve(stream);
    EMULATOR_NEED(stream == &legacy || streams.count(stream), CUDA_ERROR_INVALID_HANDLE, "%p is no stream", (void *)stream);
    return CUDA_SUCCESS;
}

bool is_capturing(CUstream stream) {
    return check_stream(stream) == CUDA_SUCCESS && resolve(stream)->capture;
}

CUresult submit(CUstream stream, const char *what, Work work) {
    Locked lock(device_lock);
    EMULATOR_TRY(need_context());
    EMULATOR_TRY(check_stream(stream));
    stream = resolve(stream);
    if (stream->capture) {
        EMULATOR_NEED(!stream->invalidated, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "%s: the capture was spoiled", what);
        stream->capture->work.push_back(std::move(work));
        return CUDA_SUCCESS;
    }
    if (stream == &legacy) {
        for (CUstream other : streams)
            if (other->capture && other->blocking)
                return spoil(other, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, what, "the legacy stream would wait for it");
    }
    if (lazy && stream != &legacy) {
        stream->queue.push_back(std::move(work));
        return CUDA_SUCCESS;
    }
    // The legacy stream waits for all blocking ones. It is not lazy itself: nothing would be found by it.
    for (CUstream other : streams)
        if (stream == &legacy && other->blocking) EMULATOR_TRY(drain(other));
    EMULATOR_TRY(drain(stream));
    return work();
}

CUresult synchronise(const char *what) {
    for (CUstream stream : streams)
        if (stream->capture) return spoil(stream, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, what, "it would have to wait");
    return finish_all();
}

CUresult unless_capturing(const char *what) {
    for (CUstream stream : streams) {
        if (!stream->capture || stream->mode == CU_STREAM_CAPTURE_MODE_RELAXED) continue;
        bool own = stream->capturer == std::this_thread::get_id();
        if (own || stream->mode == CU_STREAM_CAPTURE_MODE_GLOBAL)
            return spoil(stream, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, what, "it is not allowed then");
    }
    return CUDA_SUCCESS;
}

}  // namespace emulator

// --- streams ---------------------------------------------------------------------------------------------------------

EMULATOR_CALL cuStreamCreate(CUstream *stream, unsigned flags) {
    EMULATOR_TRY(need_context());
    Locked lock(device_lock);
    *stream = new CUstream_st;
    (*stream)->blocking = !(flags & CU_STREAM_NON_BLOCKING);
    streams.insert(*stream);
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuStreamCreateWithPriority(CUstream *stream, unsigned flags, int) { return cuStreamCreate(stream, flags); }

EMULATOR_CALL cuStreamDestroy_v2(CUstream stream) {
    Locked lock(device_lock);
    EMULATOR_NEED(streams.count(stream), CUDA_ERROR_INVALID_HANDLE, "%p is no stream", (void *)stream);
    CUresult result = drain(stream);
    delete stream->capture;
    streams.erase(stream);
    delete stream;
    return result;
}

static CUresult wait_for(CUstream stream, const char *what) {
    EMULATOR_TRY(need_context());
    Locked lock(device_lock);
    EMULATOR_TRY(check_stream(stream));
    stream = resolve(stream);
    if (stream->capture) return spoil(stream, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, what, "it would have to wait");
    if (stream == &legacy) return synchronise(what);
    return drain(stream);
}

EMULATOR_CALL cuStreamSynchronize(CUstream stream) { return wait_for(stream, "cuStreamSynchronize"); }
EMULATOR_CALL cuStreamQuery(CUstream stream) { return wait_for(stream, "cuStreamQuery"); }
EMULATOR_CALL cuCtxSynchronize(void) {
    EMULATOR_TRY(need_context());
    Locked lock(device_lock);
    return synchronise("cuCtxSynchronize");
}

// --- events ----------------------------------------------------------------------------------------------------------

static CUresult check_event(CUevent event) {
    EMULATOR_NEED(events.count(event), CUDA_ERROR_INVALID_HANDLE, "%p is no event", (void *)event);
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuEventCreate(CUevent *event, unsigned flags) {
    EMULATOR_TRY(need_context());
    Locked lock(device_lock);
    *event = new CUevent_st;
    (*event)->timed = !(flags & CU_EVENT_DISABLE_TIMING);
    events.insert(*event);
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuEventDestroy_v2(CUevent event) {
    Locked lock(device_lock);
    EMULATOR_TRY(check_event(event));
    events.erase(event);
    delete event;
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuEventRecord(CUevent event, CUstream stream) {
    Locked lock(device_lock);
    EMULATOR_TRY(check_event(event));
    EMULATOR_TRY(check_stream(stream));
    event->captured = resolve(stream)->capture != nullptr;
    if (event->captured) return CUDA_SUCCESS;  // orders a graph's nodes, and ours are in order
    event->recorded = false;
    event->pending = resolve(stream);
    return submit(stream, "cuEventRecord", [event] {
        if (!events.count(event)) return CUDA_SUCCESS;  // destroyed meanwhile, which is allowed
        clock_gettime(CLOCK_MONOTONIC, &event->time);
        event->recorded = true;
        event->pending = nullptr;
        return CUDA_SUCCESS;
    });
}

EMULATOR_CALL cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned) { return cuEventRecord(event, stream); }

static CUresult finish(CUevent event) {
    EMULATOR_TRY(check_event(event));
    EMULATOR_NEED(!event->captured, CUDA_ERROR_CAPTURED_EVENT, "the event was recorded in a capture");
    return event->pending && streams.count(event->pending) ? drain(event->pending) : CUDA_SUCCESS;
}

EMULATOR_CALL cuEventSynchronize(CUevent event) {
    Locked lock(device_lock);
    return finish(event);
}
EMULATOR_CALL cuEventQuery(CUevent event) {
    Locked lock(device_lock);
    return finish(event);
}

EMULATOR_CALL cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) {
    Locked lock(device_lock);
    EMULATOR_TRY(check_event(event));
    EMULATOR_TRY(check_stream(stream));
    if (resolve(stream)->capture && event->captured) return CUDA_SUCCESS;
    EMULATOR_NEED(!event->captured, CUDA_ERROR_NOT_SUPPORTED, "the emulated device captures one stream, not several");
    return submit(stream, "cuStreamWaitEvent", [event] { return events.count(event) ? finish(event) : CUDA_SUCCESS; });
}

EMULATOR_CALL cuEventElapsedTime_v2(float *milliseconds, CUevent start, CUevent end) {
    Locked lock(device_lock);
    EMULATOR_TRY(check_event(start));
    EMULATOR_TRY(check_event(end));
    EMULATOR_NEED(start->timed && end->timed, CUDA_ERROR_INVALID_HANDLE, "an event without timing has no time");
    EMULATOR_NEED(!start->pending && !end->pending, CUDA_ERROR_NOT_READY, "the events have not been waited for");
    EMULATOR_NEED(start->recorded && end->recorded, CUDA_ERROR_INVALID_HANDLE, "an event was never recorded");
    double seconds = (double)(end->time.tv_sec - start->time.tv_sec);
    *milliseconds = (float)(1e3 * seconds + 1e-6 * (double)(end->time.tv_nsec - start->time.tv_nsec));
    return CUDA_SUCCESS;
}
#ifndef EMULATOR_NVIDIA_HEADERS  // of these, headers of one CUDA version declare one
EMULATOR_CALL cuEventElapsedTime(float *ms, CUevent start, CUevent end) { return cuEventElapsedTime_v2(ms, start, end); }
#endif

// --- capture and graphs ----------------------------------------------------------------------------------------------

EMULATOR_CALL cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
    EMULATOR_TRY(need_context());
    Locked lock(device_lock);
    EMULATOR_TRY(check_stream(stream));
    stream = resolve(stream);
    EMULATOR_NEED(stream != &legacy, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the legacy stream cannot be captured");
    EMULATOR_NEED(!stream->capture, CUDA_ERROR_ILLEGAL_STATE, "the stream is being captured already");
    EMULATOR_TRY(drain(stream));
    stream->capture = new CUgraph_st;
    stream->mode = mode;
    stream->capturer = std::this_thread::get_id();
    stream->invalidated = false;
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuStreamEndCapture(CUstream stream, CUgraph *graph) {
    EMULATOR_TRY(need_context());
    Locked lock(device_lock);
    EMULATOR_TRY(check_stream(stream));
    stream = resolve(stream);
    *graph = nullptr;
    EMULATOR_NEED(stream->capture, CUDA_ERROR_ILLEGAL_STATE, "the stream is not being captured");
    EMULATOR_NEED(stream->mode == CU_STREAM_CAPTURE_MODE_RELAXED || stream->capturer == std::this_thread::get_id(),
                  CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "another thread began the capture");
    CUgraph made = stream->capture;
    stream->capture = nullptr;
    if (stream->invalidated) {
        delete made;
        return failed(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "the capture was spoiled by an earlier call");
    }
    graphs.insert(made);
    *graph = made;
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *status) {
    Locked lock(device_lock);
    EMULATOR_TRY(check_stream(stream));
    stream = resolve(stream);
    *status = !stream->capture       ? CU_STREAM_CAPTURE_STATUS_NONE
              : stream->invalidated ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                    : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph graph, unsigned long long) {
    EMULATOR_TRY(need_context());
    Locked lock(device_lock);
    EMULATOR_NEED(graphs.count(graph), CUDA_ERROR_INVALID_VALUE, "%p is no graph", (void *)graph);
    *executable = new CUgraphExec_st{graph->work};
    executables.insert(*executable);
    return CUDA_SUCCESS;
}
#ifndef EMULATOR_NVIDIA_HEADERS
EMULATOR_CALL cuGraphInstantiate_v2(CUgraphExec *executable, CUgraph graph, CUgraphNode *, char *, size_t) {
    return cuGraphInstantiateWithFlags(executable, graph, 0);
}
#endif

EMULATOR_CALL cuGraphGetNodes(CUgraph graph, CUgraphNode *nodes, size_t *count) {
    Locked lock(device_lock);
    EMULATOR_NEED(graphs.count(graph), CUDA_ERROR_INVALID_VALUE, "%p is no graph", (void *)graph);
    EMULATOR_NEED(!nodes, CUDA_ERROR_NOT_SUPPORTED, "the emulated device counts nodes, and shows none");
    *count = graph->work.size();
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuGraphLaunch(CUgraphExec executable, CUstream stream) {
    Locked lock(device_lock);
    EMULATOR_NEED(executables.count(executable), CUDA_ERROR_INVALID_VALUE, "%p is no executable graph", (void *)executable);
    return submit(stream, "cuGraphLaunch", [executable] {
        EMULATOR_NEED(executables.count(executable), CUDA_ERROR_INVALID_VALUE, "the graph was destroyed meanwhile");
        ++replays;
        for (const Work &work : executable->work) EMULATOR_TRY(work());
        return CUDA_SUCCESS;
    });
}

EMULATOR_CALL cuGraphExecDestroy(CUgraphExec executable) {
    Locked lock(device_lock);
    EMULATOR_NEED(executables.count(executable), CUDA_ERROR_INVALID_VALUE, "%p is no executable graph", (void *)executable);
    CUresult result = finish_all();  // a graph that is still to run lives until it has
    executables.erase(executable);
    delete executable;
    return result;
}

EMULATOR_CALL cuGraphDestroy(CUgraph graph) {
    Locked lock(device_lock);
    EMULATOR_NEED(graphs.erase(graph), CUDA_ERROR_INVALID_VALUE, "%p is no graph", (void *)graph);
    delete graph;
    return CUDA_SUCCESS;
}

// --- for tests -------------------------------------------------------------------------------------------------------

EMULATOR_API void emulator_set_lazy(int on) {
    Locked lock(device_lock);
    finish_all();
    lazy = on;
}
EMULATOR_API size_t emulator_replays() { return replays; }
