/*
 * The part of LiteRT's C interface (2.x, symbols of version VERS_1.0) that the engine uses, and how it is loaded: at run
 * time, from the library beside the engine, so that building it needs neither LiteRT's headers nor its library. Names,
 * types and values are those of litert/c/ in LiteRT's source.
 */
#ifndef LITERT_API_H
#define LITERT_API_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int LiteRtStatus; /* 0 is success */
typedef size_t LiteRtParamIndex;
typedef struct LiteRtEnvironmentT *LiteRtEnvironment;
typedef struct LiteRtModelT *LiteRtModel;
typedef struct LiteRtSignatureT *LiteRtSignature;
typedef struct LiteRtTensorT *LiteRtTensor;
typedef struct LiteRtOptionsT *LiteRtOptions;
typedef struct LiteRtOpaqueOptionsT *LiteRtOpaqueOptions;
typedef struct LiteRtCompiledModelT *LiteRtCompiledModel;
typedef struct LiteRtTensorBufferT *LiteRtTensorBuffer;
typedef struct LiteRtTensorBufferRequirementsT *LiteRtTensorBufferRequirements;

enum { /* LiteRtElementType */
    LITERT_FLOAT32 = 1,
    LITERT_INT32 = 2,
    LITERT_UINT8 = 3,
    LITERT_INT64 = 4,
    LITERT_STRING = 5,
    LITERT_BOOL = 6,
    LITERT_INT16 = 7,
    LITERT_INT8 = 9,
    LITERT_FLOAT16 = 10,
    LITERT_FLOAT64 = 11,
    LITERT_UINT64 = 13,
    LITERT_UINT32 = 16,
    LITERT_UINT16 = 17,
    LITERT_BFLOAT16 = 19
};
enum { LITERT_PER_TENSOR = 1 };                                 /* LiteRtQuantizationTypeId */
enum { LITERT_CPU = 1, LITERT_GPU = 2, LITERT_NPU = 4 };        /* LiteRtHwAccelerators */
enum { LITERT_READ = 0, LITERT_WRITE = 1 };                     /* LiteRtTensorBufferLockMode */

#define LITERT_MAX_RANK 8

typedef struct {
    unsigned int rank : 7;
    unsigned int has_strides : 1;
    int32_t dimensions[LITERT_MAX_RANK];
    uint32_t strides[LITERT_MAX_RANK];
} LiteRtLayout;

typedef struct {
    int element_type;
    LiteRtLayout layout;
} LiteRtRankedTensorType;

typedef struct {
    float scale;
    int64_t zero_point;
} LiteRtQuantizationPerTensor;

#define LITERT_FUNCTIONS(F)                                                                                            \
    F(CreateEnvironment, (int, const void *, LiteRtEnvironment *))                                                     \
    F(CreateModelFromFile, (LiteRtEnvironment, const char *, LiteRtModel *))                                           \
    F(GetModelSignature, (LiteRtModel, LiteRtParamIndex, LiteRtSignature *))                                           \
    F(GetNumSignatureInputs, (LiteRtSignature, LiteRtParamIndex *))                                                    \
    F(GetNumSignatureOutputs, (LiteRtSignature, LiteRtParamIndex *))                                                   \
    F(GetSignatureInputName, (LiteRtSignature, LiteRtParamIndex, const char **))                                       \
    F(GetSignatureOutputName, (LiteRtSignature, LiteRtParamIndex, const char **))                                      \
    F(GetSignatureInputTensorByIndex, (LiteRtSignature, LiteRtParamIndex, LiteRtTensor *))                             \
    F(GetSignatureOutputTensorByIndex, (LiteRtSignature, LiteRtParamIndex, LiteRtTensor *))                            \
    F(GetRankedTensorType, (LiteRtTensor, LiteRtRankedTensorType *))                                                   \
    F(GetQuantizationTypeId, (LiteRtTensor, int *))                                                                    \
    F(GetPerTensorQuantization, (LiteRtTensor, LiteRtQuantizationPerTensor *))                                         \
    F(CreateOptions, (LiteRtOptions *))                                                                                \
    F(SetOptionsHardwareAccelerators, (LiteRtOptions, int))                                                            \
    F(CreateOpaqueOptions, (const char *, void *, void (*)(void *), LiteRtOpaqueOptions *))                            \
    F(AddOpaqueOptions, (LiteRtOptions, LiteRtOpaqueOptions))                                                          \
    F(CreateCompiledModel, (LiteRtEnvironment, LiteRtModel, LiteRtOptions, LiteRtCompiledModel *))                     \
    F(CompiledModelIsNonCpuFullyAccelerated, (LiteRtCompiledModel, bool *))                                            \
    F(CompiledModelResizeInputTensor, (LiteRtCompiledModel, LiteRtParamIndex, LiteRtParamIndex, const int *, size_t))  \
    F(CompiledModelResizeInputTensorNonStrict,                                                                         \
      (LiteRtCompiledModel, LiteRtParamIndex, LiteRtParamIndex, const int *, size_t))                                  \
    F(GetCompiledModelInputTensorLayout, (LiteRtCompiledModel, LiteRtParamIndex, LiteRtParamIndex, LiteRtLayout *))    \
    F(GetCompiledModelOutputTensorLayouts, (LiteRtCompiledModel, LiteRtParamIndex, size_t, LiteRtLayout *, bool))      \
    F(GetCompiledModelInputBufferRequirements,                                                                         \
      (LiteRtCompiledModel, LiteRtParamIndex, LiteRtParamIndex, LiteRtTensorBufferRequirements *))                     \
    F(GetCompiledModelOutputBufferRequirements,                                                                        \
      (LiteRtCompiledModel, LiteRtParamIndex, LiteRtParamIndex, LiteRtTensorBufferRequirements *))                     \
    F(CreateManagedTensorBufferFromRequirements,                                                                       \
      (LiteRtEnvironment, const LiteRtRankedTensorType *, LiteRtTensorBufferRequirements, LiteRtTensorBuffer *))       \
    F(GetTensorBufferPackedSize, (LiteRtTensorBuffer, size_t *))                                                       \
    F(LockTensorBuffer, (LiteRtTensorBuffer, void **, int))                                                            \
    F(UnlockTensorBuffer, (LiteRtTensorBuffer))                                                                        \
    F(RunCompiledModel, (LiteRtCompiledModel, LiteRtParamIndex, size_t, LiteRtTensorBuffer *, size_t, LiteRtTensorBuffer *))

/* LiteRt.CreateEnvironment(…) is LiteRtCreateEnvironment(…). */
static struct {
#define LITERT_DECLARE(name, arguments) LiteRtStatus(*name) arguments;
    LITERT_FUNCTIONS(LITERT_DECLARE)
#undef LITERT_DECLARE
} LiteRt;

/* Loads the library; gives what went wrong, or NULL. */
static const char *litert_open(const char *library) {
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!handle) return dlerror();
#define LITERT_FIND(name, arguments)                                                                                   \
    *(void **)&LiteRt.name = dlsym(handle, "LiteRt" #name);                                                            \
    if (!LiteRt.name) return dlerror();
    LITERT_FUNCTIONS(LITERT_FIND)
#undef LITERT_FIND
    return NULL;
}

#endif
