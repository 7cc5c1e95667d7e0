"""GLSL of the 3D renderer: one vertex shader that skins, one fragment shader for each material."""

from __future__ import annotations

VERTEX = """
#version 330
uniform vec4 bones[BONES * 3];
uniform mat4 camera;
in vec3 position;
in vec3 normal;
in vec3 rest;
in vec2 uv;
in vec4 colour;
in vec4 bone_index;
in vec4 bone_weight;
out vec3 v_world;
out vec3 v_normal;
out vec3 v_rest;
out vec2 v_uv;
out vec4 v_colour;
void main() {
    vec4 r0 = vec4(0), r1 = vec4(0), r2 = vec4(0);
    for (int i = 0; i < 4; i++) {
        int b = int(bone_index[i]) * 3;
        float w = bone_weight[i];
        r0 += w * bones[b]; r1 += w * bones[b + 1]; r2 += w * bones[b + 2];
    }
    vec4 p = vec4(position, 1);
    v_world = vec3(dot(r0, p), dot(r1, p), dot(r2, p));
    v_normal = vec3(dot(r0.xyz, normal), dot(r1.xyz, normal), dot(r2.xyz, normal));
    v_rest = rest;
    v_uv = uv;
    v_colour = colour;
    gl_Position = camera * vec4(v_world, 1);
}
"""

_COMMON = """
#version 330
uniform vec3 eye;
uniform vec3 key_direction;
uniform vec3 key_colour;
uniform vec3 sky;
uniform vec3 ground;
uniform vec3 rim_colour;
uniform sampler2D noise;
in vec3 v_world;
in vec3 v_normal;
in vec3 v_rest;
in vec2 v_uv;
in vec4 v_colour;
out vec4 result;
vec3 encode(vec3 linear) { return sqrt(clamp(linear, 0.0, 1.0)); }
"""

SKIN = (
    _COMMON
    + """
uniform float freckles;
void main() {
    vec3 n = normalize(v_normal);
    vec3 view = normalize(eye - v_world);
    vec4 grain = texture(noise, v_rest.xy * 0.9);
    vec4 broad = texture(noise, v_rest.xy * 0.13 + v_rest.z * 0.05);
    vec3 albedo = v_colour.rgb * (0.93 + 0.10 * grain.r + 0.06 * broad.g);
    float speck = smoothstep(0.68, 0.80, grain.b) * freckles;
    albedo *= 1.0 - speck * vec3(0.25, 0.42, 0.55);
    float d = dot(n, key_direction);
    // Light bleeds a little past the terminator, red the furthest, as under real skin.
    vec3 wrapped = clamp((vec3(d) + vec3(0.32, 0.18, 0.14)) / vec3(1.32, 1.18, 1.14), 0.0, 1.0);
    float ao = v_colour.a;
    vec3 ambient = mix(ground, sky, 0.5 + 0.5 * n.y) * ao;
    vec3 half_way = normalize(view + key_direction);
    float gloss = pow(max(dot(n, half_way), 0.0), 18.0) * 0.10 * (0.6 + 0.8 * grain.g);
    float edge = pow(1.0 - max(dot(n, view), 0.0), 3.0);
    vec3 light = ambient + key_colour * wrapped * mix(ao, 1.0, 0.45);
    result = vec4(encode(albedo * light + gloss * key_colour * ao + edge * rim_colour * ao * 0.5), 1);
}
"""
)

CLOTH = (
    _COMMON
    + """
uniform vec3 stripe_colour;
uniform vec3 stripe;
void main() {
    vec3 n = normalize(v_normal);
    vec3 view = normalize(eye - v_world);
    vec4 weave = texture(noise, v_uv * 7.0);
    float fold = texture(noise, v_rest.xy * vec2(0.05, 0.03)).a;
    n = normalize(n + 0.5 * vec3(dFdx(fold), dFdy(fold), 0.0) * 40.0);
    float phase = abs(fract(v_rest.y / stripe.x) - 0.5) * 2.0;
    float striped = smoothstep(stripe.y + 0.06, stripe.y - 0.06, phase) * step(stripe.z, v_rest.y);
    vec3 albedo = mix(v_colour.rgb, stripe_colour, striped) * (0.90 + 0.16 * weave.r);
    float d = clamp((dot(n, key_direction) + 0.1) / 1.1, 0.0, 1.0);
    float edge = pow(1.0 - abs(dot(n, view)), 3.0);
    vec3 ambient = mix(ground, sky, 0.5 + 0.5 * n.y) * v_colour.a;
    vec3 light = ambient + key_colour * d * mix(v_colour.a, 1.0, 0.3);
    result = vec4(encode(albedo * (light + edge * rim_colour) + edge * rim_colour * 0.06), 1);
}
"""
)

TEETH = (
    _COMMON
    + """
void main() {
    vec3 n = normalize(v_normal);
    // The mouth is a cave: what lies deep in it is dark.
    float light = mix(0.06, 0.95, v_colour.a * v_colour.a) * (0.55 + 0.45 * max(dot(n, key_direction), 0.0));
    result = vec4(encode(v_colour.rgb * light * (key_colour * 0.6 + sky)), 1);
}
"""
)

HAIR = (
    _COMMON
    + """
uniform vec2 strand;
void main() {
    vec3 n = normalize(v_normal);
    vec3 view = normalize(eye - v_world);
    if (dot(n, view) < 0.0) n = -n;
    vec4 fine = texture(noise, v_uv * strand);
    vec4 coarse = texture(noise, v_uv * strand * 0.23);
    float lock = 0.5 * fine.r + 0.5 * coarse.g;
    vec3 down = normalize(vec3(n.x * 0.15, -1.0, 0.1) + 0.35 * (coarse.rgb - 0.5));
    vec3 tangent = normalize(down - n * dot(down, n));
    vec3 half_way = normalize(view + key_direction);
    float along = dot(tangent, half_way) + (fine.b - 0.5) * 0.22;
    float shine = pow(sqrt(max(1.0 - along * along, 0.0)), 36.0);
    float d = clamp((dot(n, key_direction) + 0.25) / 1.25, 0.0, 1.0);
    float ao = v_colour.a;
    vec3 albedo = v_colour.rgb * (0.30 + 1.25 * lock);
    vec3 light = mix(ground, sky, 0.5 + 0.5 * n.y) * ao + key_colour * d * ao;
    float edge = pow(1.0 - max(dot(n, view), 0.0), 2.5);
    vec3 glint = (albedo * 0.9 + 0.035) * shine * (0.35 + lock) * key_colour * ao;
    result = vec4(encode(albedo * light + glint + edge * rim_colour * (0.04 + albedo)), 1);
}
"""
)

EYE = (
    _COMMON
    + """
uniform vec3 centres[2];
uniform float radius;
void main() {
    vec3 centre = v_rest.x > 0.0 ? centres[0] : centres[1];
    vec3 local = normalize(v_rest - centre);
    float angle = length(local.xy);
    vec3 n = normalize(v_normal);
    vec3 view = normalize(eye - v_world);
    float spoke = texture(noise, vec2(atan(local.y, local.x) * 1.3, angle * 0.4)).r;
    vec3 iris = v_colour.rgb * (0.55 + 0.7 * spoke) * mix(1.35, 0.5, smoothstep(0.25, 0.45, angle));
    iris = mix(vec3(0.004), iris, smoothstep(0.15, 0.18, angle));
    vec3 white = vec3(0.72, 0.68, 0.66) - vec3(0.05, 0.16, 0.16) * smoothstep(0.55, 1.0, angle);
    vec3 albedo = mix(iris, white, smoothstep(0.42, 0.48, angle));
    float lid = mix(0.45, 1.0, smoothstep(0.42, 0.05, local.y)) * v_colour.a;
    float d = clamp((dot(n, key_direction) + 0.4) / 1.4, 0.0, 1.0);
    vec3 light = (mix(ground, sky, 0.6) + key_colour * d * 0.9) * lid;
    vec3 half_way = normalize(view + normalize(key_direction + vec3(0, 0.15, 0.3)));
    float glint = smoothstep(0.975, 0.99, dot(n, half_way)) * step(angle, 0.5);
    result = vec4(encode(albedo * light + glint * 0.8 * key_colour * lid), 1);
}
"""
)

SOFT = (
    _COMMON
    + """
void main() {
    vec4 fine = texture(noise, v_uv * vec2(6.0, 1.5));
    float d = clamp(dot(normalize(v_normal), key_direction) + 0.4, 0.0, 1.0);
    vec3 light = mix(ground, sky, 0.6) + key_colour * 0.5 * d;
    result = vec4(encode(v_colour.rgb * light), clamp(v_colour.a * (0.7 + 0.6 * fine.r), 0.0, 1.0));
}
"""
)

BACKGROUND_VERTEX = """
#version 330
in vec2 corner;
out vec2 v_uv;
void main() { v_uv = corner * 0.5 + 0.5; gl_Position = vec4(corner, 0.9999, 1); }
"""

BACKGROUND = """
#version 330
uniform sampler2D picture;
in vec2 v_uv;
out vec4 result;
void main() { result = vec4(texture(picture, v_uv).rgb, 1); }
"""

FRAGMENTS = {"skin": SKIN, "cloth": CLOTH, "teeth": TEETH, "hair": HAIR, "eye": EYE, "soft": SOFT}
